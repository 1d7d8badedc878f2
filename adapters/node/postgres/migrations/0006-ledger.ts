import type { Migration } from '../migrations.ts'

/**
 * Double entry: an entry moves one amount between five books, so its row sums to zero, and a balance is the sum of an
 * account's rows. Pods lease slices of `available` and admit requests from them in memory; a lease is not an entry.
 * `usage_events` is written to no longer; a pod of the version before still does.
 */
export const ledger: Migration = {
  version: 6,
  name: 'ledger',
  async up(sql) {
    await sql`
      create table balances (
        account_id uuid primary key,
        available bigint not null default 0 check (available >= 0),
        held bigint not null default 0 check (held >= 0),
        leased bigint not null default 0 check (leased between 0 and available)
      )`
    await sql`
      create table ledger_entries (
        account_id uuid not null,
        operation_id uuid not null,
        kind text not null
          check (kind in ('signup', 'bootstrap', 'granted', 'payment', 'refund', 'hold', 'settle', 'release')),
        at timestamptz not null,
        available bigint not null default 0,
        held bigint not null default 0,
        revenue bigint not null default 0,
        funding bigint not null default 0,
        written_off bigint not null default 0,
        check (available + held + revenue + funding + written_off = 0),
        primary key (account_id, operation_id, kind)
      )`
    // Whatever dies when: an operation ends once.
    await sql`
      create unique index ledger_ends on ledger_entries (account_id, operation_id)
        where kind in ('settle', 'release')`
    // What an account's owner is shown, so that a page reads its own rows and no others.
    await sql`
      create index ledger_statement on ledger_entries (account_id, at desc, operation_id desc, kind)
        where kind not in ('hold', 'release')`
    // Holds that have not ended, with what is needed to end them without the pod that made them.
    await sql`
      create table holds (
        account_id uuid not null,
        operation_id uuid not null,
        pod_id uuid not null,
        process_id uuid not null,
        purse_id uuid not null,
        key_id uuid not null,
        amount bigint not null check (amount >= 0),
        at timestamptz not null,
        terms jsonb not null,
        output_tokens bigint not null default 0,
        primary key (account_id, operation_id)
      )`
    await sql`create index holds_by_pod on holds (pod_id)`
    await sql`create index holds_by_time on holds (at)`
    // A purse is the account's credit, or the part of it that a key with a budget may spend.
    await sql`
      create table credit_leases (
        account_id uuid not null,
        purse_id uuid not null,
        process_id uuid not null,
        pod_id uuid not null,
        amount bigint not null check (amount >= 0),
        renewed_at timestamptz not null default now(),
        primary key (account_id, purse_id, process_id)
      )`
    await sql`create index credit_leases_by_pod on credit_leases (pod_id)`
    await sql`
      create table spend_minutes (
        account_id uuid not null,
        minute integer not null,
        spent bigint not null,
        primary key (account_id, minute)
      )`
    await sql`
      create table guardrails (
        account_id uuid primary key,
        limits jsonb not null default '{}',
        shadow boolean not null default false,
        reset_minute integer not null default 0
      )`
    await sql`
      create table usage_days (
        account_id uuid not null,
        day date not null,
        key_id uuid not null,
        model text not null,
        requests bigint not null,
        input_tokens bigint not null,
        cached_input_tokens bigint not null,
        output_tokens bigint not null,
        cost bigint not null,
        primary key (account_id, day, key_id, model)
      )`
    // What the billing system has not been told yet. Those of one charge are delivered together.
    await sql`
      create table billing_outbox (
        account_id uuid not null,
        operation_id uuid not null,
        number bigint generated always as identity,
        at timestamptz not null,
        amount bigint not null,
        charge_id uuid,
        primary key (account_id, operation_id)
      )`
    await sql`create index billing_outbox_order on billing_outbox (account_id, number)`
    // By day, so that old ones are dropped and not deleted. A request's id begins with its time, so its day is known.
    await sql`
      create table receipts (
        account_id uuid not null,
        request_id uuid not null,
        day date not null,
        receipt jsonb not null,
        primary key (account_id, request_id, day)
      ) partition by range (day)`
    await sql`create table receipts_other partition of receipts default`
  },
}
