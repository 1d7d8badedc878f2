/** How many rows a statement looks at, by PostgreSQL's own account. */
import type { Database, Rows, Statement } from '../../adapters/node/postgres/client.ts'

export interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: Plan[]
}

export interface RowReads {
  by: string
  rows: number
}

/** Those of tables and indexes, with the rows that each of them looked at, kept or not. */
export function reads(plan: Plan): RowReads[] {
  const below = (plan.Plans ?? []).flatMap(reads)
  if (plan['Relation Name'] === undefined) return below
  const removed = (plan['Rows Removed by Filter'] ?? 0) + (plan['Rows Removed by Index Recheck'] ?? 0)
  const by = `${plan['Node Type']} ${plan['Index Name'] ?? ''}`.trim()
  return [{ by, rows: (plan['Actual Rows'] + removed) * plan['Actual Loops'] }, ...below]
}

/** Run as it is, with a plan for these values or for any. */
export const explain = <T extends Rows>(
  database: Database,
  statement: Statement<T>,
  mode: 'force_custom_plan' | 'force_generic_plan' = 'force_custom_plan',
) =>
  database.transaction('explain', async (sql) => {
    await sql`select set_config('plan_cache_mode', ${mode}, true)`
    const [row] = await sql<{ 'QUERY PLAN': [{ Plan: Plan }] }[]>`
      explain (analyze, format json) ${statement(sql)}`
    return row!['QUERY PLAN'][0].Plan
  })
