import type { Migration } from '../migrations.ts'

export const priceHours: Migration = {
  version: 11,
  name: 'price hours',
  async up(sql) {
    // Micro-dollars for one GPU and hour, as the markets' lists had them within that hour of UTC.
    await sql`
      create table price_hours (
        market text not null,
        gpu_model text not null,
        region text not null,
        hour timestamptz not null,
        samples integer not null,
        cheapest bigint not null,
        median bigint not null,
        primary key (gpu_model, hour, market, region)
      )`
    await sql`create index price_hours_by_hour on price_hours (hour)`
  },
}
