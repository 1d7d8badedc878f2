import type { Migration } from '../migrations.ts'

export const rentals: Migration = {
  version: 9,
  name: 'rentals',
  async up(sql) {
    // The hour under way is held for here and not in `holds`, whose open ones are ended after minutes.
    await sql`
      create table rentals (
        account_id uuid not null,
        rental_id uuid not null,
        key_id uuid not null,
        purse_id uuid not null,
        reservation_id uuid,
        deployment_id uuid,
        replaces uuid,
        replaced_by uuid,
        market text not null,
        market_id text,
        offer jsonb not null,
        spec jsonb not null,
        search jsonb not null,
        tried jsonb not null default '[]',
        endpoints jsonb not null default '[]',
        state text not null,
        version integer not null,
        change_id uuid not null,
        reason text,
        created_at timestamptz not null,
        create_sent_at timestamptz,
        started_at timestamptz,
        heard_at timestamptz,
        ended_at timestamptz,
        due_at timestamptz not null,
        failures integer not null default 0,
        hour integer not null default 0,
        held bigint not null check (held >= 0),
        accrued bigint not null default 0,
        accrued_at timestamptz,
        settled bigint not null default 0 check (settled >= 0),
        primary key (account_id, rental_id),
        check (state not in ('gone', 'failed') or held = 0)
      )`
    // A machine's label names the rental alone.
    await sql`create index rentals_by_id on rentals (rental_id)`
    await sql`create index rentals_due on rentals (due_at) where state not in ('gone', 'failed')`
    await sql`create index rentals_held on rentals (account_id, purse_id) where state not in ('gone', 'failed')`
    await sql`create index rentals_shown on rentals (market, state) where state <> 'gone'`
    // Which machine an entry is for.
    await sql`alter table ledger_entries add column instance_id uuid`
    await sql`
      create index ledger_instances on ledger_entries (account_id, instance_id) where instance_id is not null`
    // What one pod does for all, and until when.
    await sql`
      create table turns (
        name text primary key,
        holder text not null,
        until timestamptz not null
      )`
    await sql`
      create table market_sightings (
        market text not null,
        machine_id text not null,
        label text,
        first_seen_at timestamptz not null,
        last_seen_at timestamptz not null,
        times integer not null,
        primary key (market, machine_id)
      )`
  },
}
