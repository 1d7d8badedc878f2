import type { Migration } from '../migrations.ts'

export const bidsAndPreferences: Migration = {
  version: 13,
  name: 'bids and preferences',
  async up(sql) {
    // The lowest bid that was taken for one GPU; null where no bids are taken, and in hours noted before.
    await sql`alter table price_hours add column lowest_bid bigint`
    // `wish` is the preference but for its name: read and written whole.
    await sql`
      create table gpu_preferences (
        account_id uuid not null,
        name text not null,
        wish jsonb not null,
        updated_at timestamptz not null,
        primary key (account_id, name)
      )`
  },
}
