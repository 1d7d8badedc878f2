import type { Migration } from '../migrations.ts'

export const accounts: Migration = {
  version: 1,
  name: 'accounts',
  async up(sql) {
    await sql`
      create table accounts (
        account_id uuid primary key,
        name text not null,
        role text not null check (role in ('user', 'administrator')),
        created_at timestamptz not null default now(),
        disabled_at timestamptz
      )`
    await sql`
      create table api_keys (
        account_id uuid not null references accounts,
        key_id uuid not null,
        key_hash bytea not null,
        prefix text not null,
        name text not null,
        scopes text[] not null,
        rate_limit_per_minute integer,
        created_at timestamptz not null default now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        primary key (account_id, key_id)
      )`
    // Whose key this is must be found before the account is known: the one table that account_id does not lead.
    await sql`
      create table api_key_lookup (
        key_hash bytea primary key,
        account_id uuid not null,
        key_id uuid not null,
        foreign key (account_id, key_id) references api_keys
      )`
    await sql`create table settings (name text primary key, value text not null)`
  },
}
