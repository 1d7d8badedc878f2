/**
 * The gateway killed with -9 at random points under load, streams and whole answers: every call in the provider's own
 * record ends in the books once and is billed once. `npm run crash` does it 200 times. And that the check sees: three
 * gateways that are broken on purpose.
 */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runCrashes } from '../../bench/crash/run.ts'
import { seededRandom } from '../support/seeded-random.ts'

const timeout = 180_000
const bug = (name: string) => ['--import', fileURLToPath(new URL(`../../bench/crash/${name}.ts`, import.meta.url))]

test('10 kills: nothing is lost, nothing is billed twice, every hold is resolved', { timeout }, async () => {
  const seed = Date.now() % 1_000_000
  const { faults, calls, exact, estimated } = await runCrashes({ kills: 10, random: seededRandom(seed) })
  expect({ seed, faults }).toEqual({ seed, faults: [] })
  expect(calls).toBeGreaterThan(20)
  expect(exact).toBeGreaterThan(0)
  expect(estimated).toBeGreaterThan(0)
})

const broken = { kills: 3, random: seededRandom(5), drainTimeoutMs: 4_000 }

test('a journal that is written after the call has left loses calls, and the check says so', { timeout }, async () => {
  const { faults } = await runCrashes({ ...broken, kills: 6, bug: { nodeArguments: bug('late-journal') } })
  expect(faults.filter((fault) => /^call \d+ is lost$/.test(fault))).not.toEqual([])
})

test('books that take an end twice bill twice, and the check says so', { timeout }, async () => {
  const sql = `
    drop index ledger_ends;
    alter table ledger_entries drop constraint ledger_entries_pkey;
    alter table billing_outbox drop constraint billing_outbox_pkey`
  const { faults } = await runCrashes({ ...broken, bug: { nodeArguments: bug('forgetful-journal'), sql } })
  expect(faults.filter((fault) => /^call \d+ has \d+ ends$/.test(fault))).not.toEqual([])
})

test('holds that are never closed are seen', { timeout }, async () => {
  const sql = `
    create function keep() returns trigger language plpgsql as 'begin return null; end';
    create trigger keep before delete on holds for each row execute function keep()`
  const { faults } = await runCrashes({ ...broken, bug: { sql } })
  expect(faults).toContainEqual(expect.stringMatching(/^\d+ holds are open$/))
})
