/** Credit, usage, and whether the ledger is what it must be. */
import { grantId } from '../../../src/domain/grant.ts'
import { formatUsd, parseUsd } from '../../../src/domain/money.ts'
import { dayOf, daysAfter, usageGroupings } from '../../../src/domain/statement.ts'
import { longestTry } from '../../../src/routing/table.ts'
import { ledgerRules } from '../postgres/ledger-check.ts'
import { findAccount } from './accounts.ts'
import type { Arguments } from './arguments.ts'
import type { Command } from './command.ts'
import { readRouting } from './configuration.ts'
import { CommandError, type Row } from './report.ts'

/** Faults that are named; how many there are is told in any case. */
const maxNamed = 100
/**
 * Besides the longest request: a minute until a hold counts as abandoned, and what the next pod takes that looks for such
 * and writes their ends.
 */
const holdGraceS = 120

export const moneyCommands: Command[] = [
  {
    words: ['credit'],
    usage: 'ACCOUNT AMOUNT --id ID [--note NOTE]',
    does: 'gives credit, in US dollars; the same ID again gives nothing (over HTTP it is the Idempotency-Key)',
    places: 2,
    options: { id: { type: 'string' }, note: { type: 'string' } },
    async run(storage, args) {
      const [text, key, note] = [args.place(1, 'AMOUNT'), args.required('id'), args.option('note')]
      const amount = parseUsd(text)
      if (!amount) throw new CommandError(`AMOUNT ${text} must be US dollars above 0, as in 12.50`, 2)
      if (!/^[\x20-\x7e]{1,255}$/.test(key)) throw new CommandError('--id must be 1 to 255 printable characters', 2)
      if (note !== undefined && note.length > 200) throw new CommandError('--note may have 200 characters', 2)
      const { accountId } = await findAccount(storage, args)
      const credit = { id: await grantId(accountId, key), kind: 'granted' } as const
      const given = await storage.credits.grant(accountId, { ...credit, amount, note })
      const before = given ? amount : (await storage.credits.granted(accountId, credit))?.amount
      if (before !== amount) throw new CommandError(`--id ${key} gave ${formatUsd(before ?? 0)} before: take another`)
      const { available } = await storage.statements.balance(accountId)
      const money = { amount: formatUsd(amount), currency: 'USD', available: formatUsd(available) }
      return { rows: [{ account: accountId, grant: credit.id, given, ...money }] }
    },
  },
  {
    words: ['usage'],
    usage: `ACCOUNT [--from DAY] [--to DAY] [--by ${usageGroupings.join('|')}]`,
    does: 'what it used and what that cost; of the last 30 days by day, unless it is said',
    places: 1,
    options: { from: { type: 'string' }, to: { type: 'string' }, by: { type: 'string' } },
    async run(storage, args) {
      const to = dayIn(args, 'to') ?? dayOf(Date.now())
      const from = dayIn(args, 'from') ?? daysAfter(to, -29)
      const by = args.option('by') ?? 'day'
      const groupBy = usageGroupings.find((name) => name === by)
      if (!groupBy) throw new CommandError(`--by=${by} must be one of ${usageGroupings.join(', ')}`, 2)
      const { accountId } = await findAccount(storage, args)
      const groups = await storage.statements.usage(accountId, { groupBy, from, to })
      const rows = groups.map(
        ({ group, requests, inputTokens, cachedInputTokens, outputTokens, cost }): Row => ({
          [groupBy]: group,
          requests,
          input_tokens: inputTokens,
          cached_input_tokens: cachedInputTokens,
          output_tokens: outputTokens,
          cost: formatUsd(cost),
        }),
      )
      const sum = groups.reduce((all, { cost }) => all + cost, 0)
      return { name: 'usage', rows, note: `${from} to ${to}: ${formatUsd(sum)} USD` }
    },
  },
  {
    words: ['ledger', 'check'],
    usage: '[--restored]',
    does: 'looks at every account’s money; exit code 1 and a table of what is wrong. Of a restored backup holds may be old',
    options: { restored: { type: 'boolean' } },
    async run({ ledgerCheck }, args, config) {
      // What was under way at the backup: the first gateway ends it.
      const isExpected = (rule: string) => args.has('restored') && rule === 'no_old_hold'
      const routing = await readRouting(process.env, config)
      const longestMs = Math.max(config.REQUEST_TIMEOUT, routing ? longestTry(routing) : 0)
      const maxHoldS = Math.ceil(longestMs / 1000) + holdGraceS
      const counts = new Map(Object.keys(ledgerRules).map((rule) => [rule, 0]))
      const named: Row[] = []
      let [accounts, entries] = [0, 0]
      for await (const account of ledgerCheck({ maxHoldS })) {
        accounts++
        entries += account.entries
        for (const { rule, accountId, operationId, found, expected } of account.faults) {
          if (isExpected(rule)) continue
          counts.set(rule, counts.get(rule)! + 1)
          const fault = { rule, account: accountId, operation: operationId ?? null, found, expected }
          if (named.length < maxNamed) named.push(fault)
        }
      }
      const looked = `${accounts} accounts, ${entries} entries`
      const rules = Object.entries(ledgerRules).map(([rule, means]) => ({ rule, faults: counts.get(rule)!, means }))
      if (named.length === 0) return { name: 'rules', rows: rules, note: `${looked}: all is as it must be` }
      const all = [...counts.values()].reduce((sum, count) => sum + count, 0)
      const note = `${looked}: ${all} faults${all > named.length ? `, of which ${named.length} are shown` : ''}`
      return { name: 'faults', rows: named, note, failed: true }
    },
  },
]

function dayIn(args: Arguments, name: string): string | undefined {
  const text = args.option(name)
  if (text === undefined) return undefined
  const isDay =
    /^[12]\d{3}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && dayOf(Date.parse(text)) === text
  if (!isDay) throw new CommandError(`--${name}=${text} must be a day, as in 2026-11-25`, 2)
  return text
}
