import { expect, test, vi } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { Guardrails as GuardrailsPort } from '../ports.ts'
import { createGuardrails } from './guardrails.ts'

const clock = new FakeClock()
function world() {
  const setLimits = vi.fn(async () => {})
  const reset = vi.fn(async () => {})
  const port = { setLimits, reset } as unknown as GuardrailsPort
  return { setLimits, reset, guardrails: createGuardrails({ clock, port, enabled: true, defaults: { '60min': 100 } }) }
}

test('an account’s own limit may be as high as the operator’s, and no higher', async () => {
  const { guardrails, setLimits } = world()
  await guardrails.setLimits('a', { '60min': 100, '5min': 1_000_000 })
  expect(setLimits).toHaveBeenCalledWith('a', { '60min': 100, '5min': 1_000_000 })
  await expect(guardrails.setLimits('a', { '60min': 101 })).rejects.toMatchObject({
    ...{ code: 'invalid_body', options: { param: 'limits.60min' } },
  })
  expect(setLimits).toHaveBeenCalledOnce()
})

test('after a reset nothing counts that is spent until the minute is over', async () => {
  const { guardrails, reset } = world()
  await guardrails.reset('a')
  expect(reset).toHaveBeenCalledWith('a', Math.floor(clock.wallNow() / 60_000) + 1)
})
