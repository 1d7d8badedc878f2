import type { Migration } from '../migrations.ts'

export const failedPayments: Migration = {
  version: 17,
  name: 'failed-payments',
  async up(sql) {
    // One that failed is asked for too. Pods of the version before find what they ask for by this index as well.
    await sql`
      create index payments_due on payments (ask_at)
        where state in ('processing', 'requires_action', 'failed') and problem is null`
    await sql`drop index payments_open`
  },
}
