import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createMemorySharedCache } from '../../adapters/memory/shared-cache.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { type Cache, createCache } from './cache.ts'
import { accountKey, credentialKey, publicKey } from './keys.ts'
import { createMemoryTier } from './memory-tier.ts'
import { createSharedTier } from './shared-tier.ts'

const load = async () => 'value'

// Checked by the compiler, which complains about each of these lines that compiles.
export function whatDoesNotCompile(ofAll: Cache<string, 'public'>, ofAccounts: Cache<string, 'account'>) {
  void ofAll.get(publicKey('a'), load)
  void ofAccounts.get(accountKey({ accountId: 'a' }, 'b'), load)
  // @ts-expect-error a value of one account cannot be read with a key that is the same for everybody
  void ofAccounts.get(publicKey('a'), load)
  // @ts-expect-error nor be put where everybody reads
  void ofAll.get(accountKey({ accountId: 'a' }, 'b'), load)
  // @ts-expect-error nor with a text that somebody put together
  void ofAccounts.get('a/b', load)
  // @ts-expect-error what stands behind a secret is of no account and not for everybody
  void ofAll.get(credentialKey('digest'), load)
  // @ts-expect-error an account's key is made from the principal, not from a text of the request
  accountKey('account', 'b')

  const clock = new FakeClock()
  const tiers = { clock, random: Math.random, memory: createMemoryTier({ maxBytes: 1 }), freshMs: 1, bytesOf: () => 1 }
  const shared = { tier: createSharedTier({ cache: createMemorySharedCache({ clock }), clock }), layout: 1 }
  createCache<string, 'account'>({ ...tiers, name: 'a', scope: 'account', shared })
  // @ts-expect-error what stands behind a secret never leaves the pod
  createCache<string, 'credential'>({ ...tiers, name: 'a', scope: 'credential', shared })
}

it('gives different parts different keys, whatever the parts hold', () => {
  const parts = fc.array(fc.string({ unit: fc.constantFrom('a', '/', ':', '%', '2', 'F', '{', '}', 'é') }), {
    minLength: 1,
    maxLength: 4,
  })
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      expect(publicKey(...a) === publicKey(...b)).toBe(JSON.stringify(a) === JSON.stringify(b))
      expect(publicKey(...a)).toMatch(/^[\w%./~!*'()-]*$/)
    }),
    { numRuns: 2_000 },
  )
  expect(accountKey({ accountId: 'a' }, 'b')).not.toBe(accountKey({ accountId: 'a/b' }))
  expect(publicKey('\ud800')).toBe('%EF%BF%BD')
})
