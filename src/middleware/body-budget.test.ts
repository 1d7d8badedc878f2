import { expect, test } from 'vitest'
import { settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { createBodyBudget } from './body-budget.ts'
import type { AppContext } from './request-context.ts'

const mb = 1_048_576

const never = () => new Promise<Uint8Array>(() => {})

function world(trustedHops?: number, readBody = never) {
  const bodies = createBodyBudget({
    readBody,
    metrics: new FakeMetrics(),
    maxInFlightBytes: 100 * mb,
    trustedHops,
  })
  /** A body that is sent slowly: what it may hold is held until `end`. */
  const send = (accountId: string | undefined, bytes: number | undefined, remoteAddress = '192.0.2.1') => {
    const endings: (() => void)[] = []
    const request = { principal: accountId && { accountId }, onEnd: (fn: () => void) => void endings.push(fn) }
    const c = {
      env: { remoteAddress, headers: bytes === undefined ? {} : { 'content-length': String(bytes) } },
      req: { raw: {} },
      get: () => request,
    }
    const reading = bodies.read(c as unknown as AppContext, 20 * mb)
    const end = () => {
      for (const fn of endings) fn()
    }
    return { refused: Promise.race([reading, Promise.resolve('held')]), end }
  }
  return send
}

test('one account cannot hold all of it, and holds what it may again once a body is gone', async () => {
  const send = world()
  const own = []
  for (let i = 0; i < 5; i++) own.push(send('greedy', 15 * mb))
  await Promise.all(own.map(async ({ refused }) => expect(await refused).toBe('held')))
  await expect(send('greedy', mb).refused).rejects.toMatchObject({ code: 'overloaded' })
  expect(await send('other', 20 * mb).refused).toBe('held')
  await expect(send('third', 6 * mb).refused).rejects.toMatchObject({ code: 'overloaded' })
  own[0]!.end()
  expect(await send('greedy', 10 * mb).refused).toBe('held')
})

test('one address of strangers has a small share, and leaves the rest to others', async () => {
  const send = world(0)
  // Its share, or one body of the largest that there may be.
  for (let i = 0; i < 20; i++) expect(await send(undefined, mb).refused).toBe('held')
  await expect(send(undefined, mb).refused).rejects.toMatchObject({ code: 'overloaded' })
  expect(await send(undefined, mb, '198.51.100.1').refused).toBe('held')
})

test('a body without a length holds what it turned out to be, and gives back no more than that', async () => {
  let read: () => Promise<Uint8Array> = async () => new Uint8Array(mb)
  const send = world(undefined, () => read())
  const short = send('short', undefined)
  await settled()
  read = never
  for (const account of 'abcd') expect(await send(account, 20 * mb).refused).toBe('held')
  expect(await send('e', 19 * mb).refused).toBe('held')
  await expect(send('f', 1).refused).rejects.toMatchObject({ code: 'overloaded' })
  short.end()
  expect(await send('f', mb).refused).toBe('held')
  await expect(send('f', 1).refused).rejects.toMatchObject({ code: 'overloaded' })
})
