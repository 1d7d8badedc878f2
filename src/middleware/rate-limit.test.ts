import { expect, test } from 'vitest'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import type { Principal } from '../domain/principal.ts'
import type { ClaimSet, Limits } from '../resilience/limits.ts'
import { rateLimit } from './rate-limit.ts'
import type { AppContext } from './request-context.ts'

/** A request of 400 bytes, of a key with a limit of tokens. */
function asked(tokensPerMinute: number, tokensUsed?: number) {
  const sets: ClaimSet[] = []
  const ended: Parameters<Limits['end']>[2][] = []
  const limits: Pick<Limits, 'take' | 'end'> = {
    take(set) {
      sets.push(set)
      return { refusedBy: undefined, allowances: set.claims.map(() => ({ remaining: 1, resetMs: 0 })) }
    },
    end: (_set, _id, tokens) => void ended.push(tokens),
  }
  const principal: Principal = {
    ...{ accountId: 'account', keyId: 'key', role: 'user', scopes: ['inference'] },
    limits: { key: { tokensPerMinute }, account: {} },
  }
  const endings: ((status: number) => void)[] = []
  const onEnd = (fn: (status: number) => void) => void endings.push(fn)
  const request = { id: 'one', principal, headers: {}, tokensUsed, onEnd }
  const req = { method: 'POST', path: '/v1/chat/completions' }
  const c = { env: { headers: { 'content-length': '400' } }, req, get: () => request }
  void rateLimit({ limits: limits as Limits, perMinute: 60, metrics: new FakeMetrics() })(c as unknown as AppContext)
  return {
    key: sets[0]!.claims.find(({ unit }) => unit === 'tokens')!.key,
    /** What is settled then. */
    end(status: number) {
      for (const fn of endings) fn(status)
      return ended
    },
  }
}

test.each([
  ['that failed uses none', 503, undefined, { expected: 100, used: 0 }],
  ['that was refused uses none', 400, undefined, { expected: 100, used: 0 }],
  ['whose caller left it before anything came of it keeps what was expected', 499, undefined, undefined],
  ['whose caller left it uses what he had been sent', 499, 7, { expected: 100, used: 7 }],
  ['of which nobody says what it was keeps what was expected', 200, undefined, undefined],
  ['uses what it was', 200, 40, { expected: 100, used: 40 }],
] as const)('a request %s', (_what, status, tokensUsed, settled) => {
  expect(asked(1_000, tokensUsed).end(status)).toEqual([settled])
})

test('what is owed under one limit is not owed under another', () => {
  expect(asked(1_000).key).toBe(asked(1_000).key)
  expect(asked(1_000).key).not.toBe(asked(2_000).key)
})
