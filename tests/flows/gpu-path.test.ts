/** The walk of `npm run gpu`, in one process and by a clock in a hurry; and that the README shows what it does. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { shapeOf } from '../../bench/gpu/transcript.ts'
import { walk } from '../../bench/gpu/walk.ts'
import { startTestGateway, testKey } from '../support/gateway.ts'
import { hurriedClock } from '../support/hurried-clock.ts'

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')

test('from an offer to the bill: every step holds, and the README shows the same steps', async () => {
  const gateway = await startTestGateway({
    ports: { clock: hurriedClock(20) },
    market: { provisioningMs: 20, loadingMs: 20, paced: false },
  })
  const lines: string[] = []
  try {
    const failed = await walk({
      url: gateway.url,
      apiKey: testKey,
      market: gateway.sandbox.vastai,
      write: (line) => void lines.push(line),
      pollMs: 5,
    })
    expect(failed).toEqual([])
  } finally {
    await gateway.close()
  }
  const [, shown] = /```text\n(# 1\. [^`]*)```/.exec(readme) ?? []
  expect(shapeOf(shown ?? '')).toEqual(shapeOf(lines.join('\n')))
  expect(lines.join('\n')).not.toContain(testKey)
}, 60_000)
