import type { Migration } from '../migrations.ts'
import { addSums } from '../usage-entry.ts'

export const usageSums: Migration = {
  version: 14,
  name: 'usage sums',
  async up(sql) {
    // `usage_days` summed as it is shown: of a day (no name), and of a month by model and by key. What all accounts came
    // to is under the account of zeros, where accounts are summed by the month, too.
    await sql`
      create table usage_sums (
        account_id uuid not null,
        kind text not null check (kind in ('day', 'model', 'key', 'account')),
        period date not null,
        name text not null,
        requests bigint not null,
        input_tokens bigint not null,
        cached_input_tokens bigint not null,
        output_tokens bigint not null,
        cost bigint not null,
        primary key (account_id, kind, period, name)
      )`
    await addSums(sql, sql`uses as (select * from usage_days)`)
    // By which those of all accounts are found. Neither column ever changes, so the sums are updated in place.
    await sql`create index usage_sums_by_period on usage_sums (kind, period)`
    // By which usage of the last days is looked through for what a pod of the version before has not summed.
    await sql`create index usage_days_by_day on usage_days (day)`
    // Lists that leave out what is over: they read no row of it.
    await sql`
      create index api_keys_shown on api_keys (account_id, created_at desc, key_id desc) where revoked_at is null`
    await sql`create index rentals_kept on rentals (account_id, rental_id desc) where state <> 'gone'`
    await sql`create index rentals_newest on rentals (rental_id desc) where state <> 'gone'`
    await sql`create index accounts_open on accounts (account_id desc) where closed_at is null`
  },
}
