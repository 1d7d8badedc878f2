import type { Migration } from '../migrations.ts'

export const signIn: Migration = {
  version: 4,
  name: 'sign in',
  async up(sql) {
    await sql`
      alter table accounts
        add column email text,
        add column password_hash text,
        add column password_expires_at timestamptz,
        add column closed_at timestamptz`
    await sql`
      alter table api_keys
        add column models text[],
        add column budget_per_day bigint check (budget_per_day >= 0),
        add column budget_per_month bigint check (budget_per_month >= 0)`
    // Whose email this is must be found before the account is known, and must be unique over all shards.
    await sql`create table account_emails (email text primary key, account_id uuid not null)`
    await sql`create index account_emails_prefix on account_emails (email text_pattern_ops)`
    await sql`
      create table sessions (
        account_id uuid not null references accounts,
        session_id uuid not null,
        family_hash bytea not null,
        token_hash bytea not null,
        previous_hash bytea,
        renewed_at timestamptz not null default now(),
        place_hash bytea not null,
        created_at timestamptz not null default now(),
        expires_at timestamptz not null,
        ended_at timestamptz,
        primary key (account_id, session_id)
      )`
    // Whoever guesses has no account yet, and one who guesses at many accounts is counted once.
    await sql`
      create table sign_in_attempts (
        subject bytea primary key,
        attempts integer not null,
        last_at timestamptz not null,
        locked_until timestamptz
      )`
    await sql`create index sign_in_attempts_last on sign_in_attempts (last_at)`
  },
}
