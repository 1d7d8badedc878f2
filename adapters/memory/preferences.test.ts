import { preferencesContract } from '../../tests/contracts/preferences.ts'
import { createMemoryPreferences } from './preferences.ts'

preferencesContract('preferences in memory', async () => createMemoryPreferences())
