import type { Migration } from '../migrations.ts'

export const limitsAndShards: Migration = {
  version: 3,
  name: 'limits and shards',
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
    // A table that every shard's server has whole cannot refer to one that is spread over them. Keys are never deleted.
    await sql`alter table api_key_lookup drop constraint api_key_lookup_account_id_key_id_fkey`
  },
}
