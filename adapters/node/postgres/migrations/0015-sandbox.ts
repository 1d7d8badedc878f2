import type { Migration } from '../migrations.ts'

export const sandbox: Migration = {
  version: 15,
  name: 'sandbox',
  async up(sql) {
    // What the sandbox sold stays marked, whoever answers for the provider later.
    await sql`alter table payments add column sandbox boolean not null default false`
  },
}
