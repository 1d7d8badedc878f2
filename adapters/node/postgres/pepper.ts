import { randomBytes } from 'node:crypto'
import type { Database } from './client.ts'
import { loadStoredSecret } from './stored-secret.ts'

/** API_KEY_PEPPER, or one that the first gateway at this database made up. Changing it makes every key unknown. */
export const loadPepper = async (database: Database, configured?: string): Promise<string> =>
  configured || loadStoredSecret(database, 'api_key_pepper', () => randomBytes(32).toString('base64url'))

/** What tells this fleet's machines from those of another that shares the operator's account at a market. */
export const loadFleetId = (database: Database): Promise<string> =>
  loadStoredSecret(database, 'fleet_id', () => randomBytes(4).toString('hex'))

/** JWT_SECRET, or one that the first gateway at this database made up. Changing it makes every access token invalid. */
export const loadJwtSecret = async (database: Database, configured?: string): Promise<string> =>
  configured || loadStoredSecret(database, 'jwt_secret', () => randomBytes(32).toString('base64url'))
