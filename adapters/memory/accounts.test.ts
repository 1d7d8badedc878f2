import { accountsContract } from '../../tests/contracts/accounts.ts'
import { createMemoryAccounts } from './accounts.ts'

accountsContract('the memory accounts', () => ({ accounts: createMemoryAccounts() }))
