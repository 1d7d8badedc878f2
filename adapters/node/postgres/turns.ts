/** What one pod does for the whole fleet. Until when is said by the database's clock: pods may disagree about theirs. */
import type { Turns } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { Cluster } from './cluster.ts'

export const createTurns = ({ cluster }: { cluster: Pick<Cluster, 'note'> }): Turns => ({
  async take(name, holder, forMs) {
    const rows = await cluster.note('take turn', (sql) => upsertTurn(sql, name, holder, forMs))
    return rows.length > 0
  },
  async endTurn(name, holder) {
    await cluster.note('end turn', (sql) => deleteTurn(sql, name, holder))
  },
})

const upsertTurn = (sql: Sql, name: string, holder: string, forMs: number) => sql<object[]>`
  insert into turns (name, holder, until) values (${name}, ${holder}, now() + ${forMs} * interval '1 ms')
  on conflict (name) do update set holder = excluded.holder, until = excluded.until
    where turns.holder = excluded.holder or turns.until <= now()
  returning name`

const deleteTurn = (sql: Sql, name: string, holder: string) => sql`
  delete from turns where name = ${name} and holder = ${holder}`
