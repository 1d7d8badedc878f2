import type { Migration } from '../migrations.ts'

export const reads: Migration = {
  version: 8,
  name: 'reads',
  async up(sql) {
    // Why credit was given, for the account's owner to read.
    await sql`alter table ledger_entries add column note text check (length(note) <= 200)`
    // By which the minutes of all accounts are found that are older than the longest guard rail.
    await sql`create index spend_minutes_by_time on spend_minutes (minute)`
  },
}
