import { expect, test, vi } from 'vitest'
import { createBackoff } from '../../../src/resilience/backoff.ts'
import { FakeClock } from '../../../tests/support/fake-clock.ts'
import type { Database } from './client.ts'
import { QueryFailed, translate } from './failures.ts'
import { createTransact } from './transactions.ts'

const refusedBy = (code: string) => new QueryFailed('x', { code, severity: 'ERROR' } as never)
const fromServer = (code: string, committing = false) =>
  translate('x', Object.assign(new Error(), { code }), committing)

/** Fails with these, one a try, then succeeds. */
async function tryWith(
  failures: unknown[],
  options: { lookup?: () => Promise<string | undefined>; random?: number } = {},
) {
  const clock = new FakeClock()
  const waits: number[] = []
  const { setTimer } = clock
  clock.setTimer = (ms, fn) => {
    waits.push(ms)
    return setTimer(ms, fn)
  }
  const transaction = vi.fn(async () => {
    const failure = failures.shift()
    if (failure) throw failure
    return 'done'
  })
  const backoff = createBackoff({ random: () => options.random ?? 0.5, initialMs: 20, maxMs: 500 })
  const transact = createTransact({ clock, backoff, attempts: 3 })
  const result = transact({ transaction } as unknown as Database, 'x', async () => 'done', options).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  for (let i = 0; i < 10; i++) await clock.advance(1_000)
  return { ...((await result) as { value?: string; error?: Error }), tries: transaction.mock.calls.length, waits }
}

test.each([
  ['a serialization failure', refusedBy('40001')],
  ['a deadlock', refusedBy('40P01')],
  ['a server that stops', fromServer('57P01')],
  ['a connection that is lost', fromServer('08006')],
  ['a socket that is reset', fromServer('ECONNRESET')],
  ['a server without a free connection', fromServer('53300')],
  ['a server without room on its disk', fromServer('53100')],
])('after %s the whole transaction is tried again', async (_what, failure) => {
  expect(await tryWith([failure, failure])).toMatchObject({ value: 'done', tries: 3 })
})

test('the tries are bounded, and the waits between them random below a limit that grows', async () => {
  const failure = refusedBy('40001')
  expect(await tryWith([failure, failure, failure])).toMatchObject({
    error: { name: 'DatabaseUnavailable', reason: 'busy', cause: failure },
    ...{ tries: 3, waits: [10, 20] },
  })
  expect((await tryWith([failure, failure], { random: 0 })).waits).toEqual([0, 0])
})

test.each([
  ['a broken rule', refusedBy('23505')],
  ['a statement that took too long', fromServer('57014')],
  ['a statement that waited too long for a lock', fromServer('55P03')],
  ['code of our own that failed', new Error('mine')],
])('%s is no reason to try again', async (_what, failure) => {
  expect(await tryWith([failure])).toMatchObject({ error: failure, tries: 1 })
})

test('a pool that is full of others is not asked again', async () => {
  const { BulkheadFull } = await import('../../../src/resilience/bulkhead.ts')
  const full = translate('x', new BulkheadFull('queue_full'), false)
  expect(await tryWith([full])).toMatchObject({ error: full, tries: 1 })
})

test('once COMMIT was sent nothing is repeated: the caller is told that the outcome is unknown', async () => {
  for (const code of ['57P01', '08006', 'ECONNRESET', 'CONNECTION_CLOSED']) {
    const outcome = await tryWith([fromServer(code, true)])
    expect(outcome).toMatchObject({ error: { name: 'OutcomeUnknown' }, tries: 1 })
    expect(outcome.error?.message).toBe('database: x: the outcome of its commit is unknown')
  }
})

test('an unknown outcome is looked up, again while the database cannot be asked', async () => {
  const unreachable = fromServer('ECONNREFUSED')
  const lookup = vi.fn(async (): Promise<string | undefined> => 'was done').mockRejectedValueOnce(unreachable)
  expect(await tryWith([fromServer('08006', true)], { lookup })).toMatchObject({ value: 'was done', tries: 1 })
  expect(lookup).toHaveBeenCalledTimes(2)
})

test('what cannot be found stays unknown', async () => {
  const lookup = async () => undefined
  expect(await tryWith([fromServer('08006', true)], { lookup })).toMatchObject({ error: { name: 'OutcomeUnknown' } })
})
