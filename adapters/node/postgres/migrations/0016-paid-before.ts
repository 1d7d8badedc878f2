import type { Migration } from '../migrations.ts'

export const paidBefore: Migration = {
  version: 16,
  name: 'paid-before',
  async up(sql) {
    // What a market had been paid for a machine when its hour was held: whether the hour is bought goes by what came to it since.
    await sql`alter table rentals add column paid jsonb`
  },
}
