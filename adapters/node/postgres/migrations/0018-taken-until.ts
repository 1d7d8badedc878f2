import type { Migration } from '../migrations.ts'

export const takenUntil: Migration = {
  version: 18,
  name: 'taken-until',
  async up(sql) {
    // Until when a pod is at it, by the database's clock. Pods of the version before go by `due_at` alone, which is set as well.
    await sql`alter table rentals add column taken_until timestamptz`
    await sql`alter table deployments add column taken_until timestamptz`
  },
}
