import type { Migration } from '../migrations.ts'

export const deployments: Migration = {
  version: 10,
  name: 'deployments',
  async up(sql) {
    // `asked` is what its owner wants, `standing` how the last round found it. Both are read and written whole.
    await sql`
      create table deployments (
        account_id uuid not null,
        deployment_id uuid not null,
        name text not null,
        replicas integer not null check (replicas between 1 and 16),
        asked jsonb not null,
        secrets jsonb not null,
        version integer not null default 0,
        created_at timestamptz not null,
        end_asked_at timestamptz,
        due_at timestamptz not null,
        standing jsonb not null,
        busy jsonb not null default '{}',
        primary key (account_id, deployment_id)
      )`
    await sql`create unique index deployments_by_name on deployments (account_id, name)`
    await sql`create index deployments_due on deployments (due_at)`
  },
}
