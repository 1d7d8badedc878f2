import type { Migration } from '../migrations.ts'

export const usageAndReads: Migration = {
  version: 2,
  name: 'usage and reads',
  async up(sql) {
    await sql`alter table api_keys add column last_used_at timestamptz`
    // Which accounts were written to of late, for the pods that did not do it: replicas may not show it yet.
    await sql`
      create table account_writes (
        account_id uuid primary key,
        written_at timestamptz not null
      )`
    await sql`create index account_writes_recent on account_writes (written_at)`
    // What a request used is a fact that outlives its account and its key: no foreign keys.
    await sql`
      create table usage_events (
        account_id uuid not null,
        request_id uuid not null,
        key_id uuid not null,
        at timestamptz not null,
        endpoint text not null,
        provider text not null,
        model text not null,
        status integer not null,
        streamed boolean not null,
        primary key (account_id, request_id)
      )`
  },
}
