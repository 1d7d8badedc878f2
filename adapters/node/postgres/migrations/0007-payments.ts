import type { Migration } from '../migrations.ts'

export const payments: Migration = {
  version: 7,
  name: 'payments',
  async up(sql) {
    // Who delivers an account's charges, and until when nobody else does; after a failure nobody at all.
    await sql`
      create table charge_turns (
        account_id uuid primary key,
        holder uuid not null,
        until timestamptz not null,
        failures integer not null default 0
      )`
    await sql`create index billing_outbox_charged on billing_outbox (account_id) where charge_id is not null`
    // What was delivered or refused. Only what was refused is kept whole: an operator may have to send it again.
    await sql`
      create table charges (
        account_id uuid not null,
        charge_id uuid not null,
        amount bigint not null,
        operations integer not null,
        state text not null check (state in ('delivered', 'parked')),
        transaction_id text,
        reason text,
        content jsonb,
        delivered_at timestamptz not null default now(),
        primary key (account_id, charge_id)
      )`
    await sql`create index charges_parked on charges (delivered_at) where state = 'parked'`
    await sql`
      create table payments (
        account_id uuid not null,
        payment_id uuid not null,
        idempotency_key text not null,
        amount bigint not null check (amount > 0),
        currency text not null,
        payment_method text not null,
        state text not null default 'processing'
          check (state in ('created', 'processing', 'requires_action', 'succeeded', 'failed', 'canceled')),
        intent_id text,
        decline_code text,
        problem text,
        created_at timestamptz not null default now(),
        ask_at timestamptz not null,
        primary key (account_id, payment_id)
      )`
    await sql`create unique index payments_by_key on payments (account_id, idempotency_key)`
    await sql`create unique index payments_by_intent on payments (account_id, intent_id)`
    await sql`
      create index payments_open on payments (ask_at)
        where state in ('processing', 'requires_action') and problem is null`
  },
}
