import type { Migration } from '../migrations.ts'

export const limits: Migration = {
  version: 3,
  name: 'limits',
  async up(sql) {
    await sql`
      alter table api_keys
        add column tokens_per_minute bigint check (tokens_per_minute > 0),
        add column max_concurrent integer check (max_concurrent > 0)`
    await sql`
      alter table accounts
        add column requests_per_minute integer check (requests_per_minute > 0),
        add column tokens_per_minute bigint check (tokens_per_minute > 0),
        add column max_concurrent integer check (max_concurrent > 0)`
  },
}
