import { randomUUID } from 'node:crypto'
import { accountRecordsContract } from '../../tests/contracts/account-records.ts'
import { createMemoryAccountRecords } from './account-records.ts'

accountRecordsContract('the memory accounts', () => {
  const records = createMemoryAccountRecords([])
  return {
    records,
    async add(name) {
      const accountId = randomUUID()
      records.add({ accountId, name, limits: { maxConcurrent: 5 } })
      return accountId
    },
  }
})
