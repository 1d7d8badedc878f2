import type { Migration } from '../migrations.ts'

export const idempotency: Migration = {
  version: 5,
  name: 'idempotency',
  async up(sql) {
    // Not partitioned by day: a key must be unique over all days, and a unique index of partitions is one a day.
    await sql`
      create table idempotency_keys (
        account_id uuid not null,
        key_digest text not null,
        fingerprint text not null,
        request_id uuid not null,
        pod text not null,
        created_at timestamptz not null default now(),
        heartbeat_at timestamptz not null default now(),
        outcome text check (outcome in ('answered', 'too_large', 'lost')),
        status integer,
        headers text,
        body bytea,
        primary key (account_id, key_digest),
        check ((outcome = 'answered') = (body is not null and status is not null and headers is not null))
      )`
    await sql`create index idempotency_keys_age on idempotency_keys (created_at)`
    await sql`create index idempotency_keys_running on idempotency_keys (pod) where outcome is null`
  },
}
