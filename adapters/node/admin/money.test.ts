import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import type { Storage } from '../storage.ts'
import { readArguments } from './arguments.ts'
import { moneyCommands } from './money.ts'

const folder = mkdtempSync(join(tmpdir(), 'money-'))
const noFiles = () => ''
afterAll(() => rmSync(folder, { recursive: true }))

/** How old a hold may be for the check of the ledger. */
async function maxHoldS(env: Record<string, string>): Promise<number | undefined> {
  const { options, run } = moneyCommands.find(({ words }) => words[0] === 'ledger')!
  let asked: number | undefined
  const ledgerCheck: Storage['ledgerCheck'] = async function* ({ maxHoldS }) {
    asked = maxHoldS
    yield { accountId: 'someone', entries: 0, faults: [] }
  }
  await run({ ledgerCheck } as Storage, readArguments([], options!, 0), loadConfig(env, noFiles))
  return asked
}

test('a hold may be as old as the longest request, also by a model of the routing file', async () => {
  const file = (total: string) => {
    const path = join(folder, `${total}.yaml`)
    writeFileSync(
      path,
      `providers: { openai: { kind: openai } }
models: { "*": { targets: [ { provider: openai } ], timeouts: { total: ${total} } } }`,
    )
    return path
  }
  expect(await maxHoldS({})).toBe(720)
  expect(await maxHoldS({ GATEWAY_CONFIG: file('30m') })).toBe(1920)
  expect(await maxHoldS({ GATEWAY_CONFIG: file('10s') })).toBe(720)
})
