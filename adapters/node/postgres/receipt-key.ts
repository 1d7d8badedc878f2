import { generateKeyPairSync } from 'node:crypto'
import type { Database } from './client.ts'
import { loadStoredSecret } from './stored-secret.ts'

/** What receipts are signed with: Ed25519, PKCS #8 in base64. */
export const loadReceiptKey = (database: Database): Promise<string> =>
  loadStoredSecret(database, 'receipt_signing_key', () =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  )
