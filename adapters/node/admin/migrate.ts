/** The schema by itself, before any pod of a new version starts. Whatever opens the database has migrated it by then. */
import { all } from '../postgres/migrations.ts'
import type { Command } from './command.ts'

export const migrateSchema: Command = {
  words: ['migrate'],
  usage: '',
  does: 'brings the schema up to what this version needs, as a gateway does when it starts',
  run: async () => ({ rows: [{ schema: Math.max(...all.map(({ version }) => version)), newest: all.at(-1)!.name }] }),
}
