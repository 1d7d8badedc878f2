/** What those who run a gateway are promised of its accounts, wherever they are kept. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { AccountRecords } from '../../src/ports.ts'

export interface AccountRecordsUnderTest {
  records: AccountRecords
  /** With a limit of five requests at once. Answers its id. */
  add(name: string): Promise<string>
}

export function accountRecordsContract(name: string, create: () => AccountRecordsUnderTest): void {
  describe(`${name}, as all accounts for operators,`, () => {
    let world: AccountRecordsUnderTest
    const ids: string[] = []
    beforeAll(async () => {
      world = create()
      for (const name of ['a', 'b', 'c']) ids.push(await world.add(name))
      ids.sort().reverse()
    })

    it('are found by their id', async () => {
      expect(await world.records.find(ids[0]!)).toEqual({
        accountId: ids[0],
        name: expect.stringMatching(/^[abc]$/),
        role: 'user',
        limits: { maxConcurrent: 5 },
        createdAt: expect.any(Date),
        disabledAt: undefined,
      })
      expect(await world.records.find('00000000-0000-7000-8000-00000000ffff')).toBeUndefined()
    })

    it('are listed in pages, each once', async () => {
      const read: string[] = []
      for (let before: string | undefined; ; before = read.at(-1)) {
        const page = await world.records.list({ limit: 2, before })
        if (page.length === 0) break
        read.push(...page.map(({ accountId }) => accountId))
      }
      expect(read.filter((id) => ids.includes(id))).toEqual(ids)
      expect(new Set(read).size).toBe(read.length)
    })

    it('are disabled since the first time, and enabled again', async () => {
      const [id] = ids as [string]
      const disabled = await world.records.update(id, { disabled: true })
      expect(disabled?.disabledAt).toEqual(expect.any(Date))
      expect(await world.records.update(id, { disabled: true })).toEqual(disabled)
      expect(await world.records.update(id, {})).toEqual(disabled)
      expect((await world.records.update(id, { disabled: false }))?.disabledAt).toBeUndefined()
      expect((await world.records.find(id))?.disabledAt).toBeUndefined()
    })

    it('have the limits that they are given, one by one', async () => {
      const id = ids[1]!
      await world.records.update(id, { limits: { requestsPerMinute: 7, tokensPerMinute: 3_000_000_000 } })
      await world.records.update(id, { limits: { requestsPerMinute: null, maxConcurrent: undefined } })
      expect((await world.records.find(id))?.limits).toEqual({ tokensPerMinute: 3_000_000_000, maxConcurrent: 5 })
    })

    it('are not made by changing them', async () => {
      const nobody = '00000000-0000-7000-8000-00000000ffff'
      expect(await world.records.update(nobody, { disabled: true })).toBeUndefined()
      expect(await world.records.find(nobody)).toBeUndefined()
    })
  })
}
