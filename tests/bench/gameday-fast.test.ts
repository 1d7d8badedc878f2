/**
 * A few rows of the game day, each with a few hundred requests on three real gateways: what must be right is held, and no
 * time. And that the check of the books, which every row ends with, sees real books that are wrong.
 */
import { expect, test } from 'vitest'
import type { Bar } from '../../bench/bars.ts'
import { fastDay } from '../../bench/gameday/days.ts'
import { startLoad } from '../../bench/gameday/load.ts'
import { podRows } from '../../bench/gameday/pods.ts'
import { providerRows } from '../../bench/gameday/providers.ts'
import { chats, inSetting, streams } from '../../bench/gameday/setting.ts'

const timeout = 240_000
const rows = [...providerRows, ...podRows]
const missed = (bars: readonly Bar[]) => bars.filter(({ met, timed }) => !met && !timed)

async function play(id: string) {
  const lines: string[] = []
  const bars = await rows.find((row) => row.id === id)!.run((line) => lines.push(line), fastDay)
  expect(missed(bars), lines.join('\n')).toEqual([])
  expect(bars.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['lost in the books', 'twice in the books', 'wrong in the books']),
  )
}

test('F1: a provider that refuses costs no answer, and the books are right', { timeout }, () => play('F1'))

test('F7: streams that break are gone on with, and are paid for once', { timeout }, () => play('F7'))

test('F15: a gateway killed with -9 loses what was in flight at it, and nothing in the books', { timeout }, () =>
  play('F15'),
)

test(
  'real books with an entry taken out, and then one put in twice, fail the check that every row ends with',
  { timeout },
  () =>
    inSetting({ size: 1 }, async ({ urls, servers, ledgerBars }) => {
      const load = await startLoad(urls(), [chats(20), streams(10)], 1)
      await load.done
      const { sql } = servers.primary
      const bars = async () => Object.fromEntries((await ledgerBars(load.history)).map((bar) => [bar.name, bar]))
      const right = await bars()
      expect(missed(Object.values(right))).toEqual([])

      const settles = await sql<{ id: string }[]>`
      select operation_id as id from ledger_entries where kind = 'settle' order by operation_id limit 2`
      const [lost, kept] = settles.map(({ id }) => id)
      await sql`delete from ledger_entries where kind = 'settle' and operation_id = ${lost!}`
      expect((await bars())['lost in the books']).toMatchObject({
        met: false,
        got: expect.stringMatching(/^1: call \d+ is not/),
      })

      const copy = crypto.randomUUID()
      await sql`
      insert into ledger_entries (account_id, operation_id, kind, at, available, held, revenue, funding, written_off)
      select account_id, ${copy}, kind, at, available, held, revenue, funding, written_off
      from ledger_entries where kind = 'settle' and operation_id = ${kept!}`
      await sql`
      insert into receipts (account_id, request_id, day, receipt)
      select account_id, ${copy}, day, receipt from receipts where request_id = ${kept!}`
      expect((await bars())['twice in the books']).toMatchObject({
        met: false,
        got: expect.stringMatching(/^1: call \d+ is paid for by somebody else again/),
      })
      expect((await bars())['wrong in the books']).toMatchObject({ met: false })
    }),
)
