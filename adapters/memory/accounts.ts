/** Accounts that live as long as the process: for tests and benches that are about something else. */
import type { Principal } from '../../src/domain/principal.ts'
import type { Accounts } from '../../src/ports.ts'

export interface MemoryAccounts extends Accounts {
  add(apiKey: string, principal: Principal): void
  revoke(apiKey: string): void
}

export function createMemoryAccounts(): MemoryAccounts {
  const principals = new Map<string, Principal>()
  return {
    findByApiKey: async (apiKey) => principals.get(apiKey),
    add: (apiKey, principal) => void principals.set(apiKey, principal),
    revoke: (apiKey) => void principals.delete(apiKey),
  }
}
