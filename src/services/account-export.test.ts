import { expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createAccountExport, type ExportSection } from './account-export.ts'

const account: ExportSection = { name: 'account', one: async (id) => ({ id }) }
const numbers = (...pages: number[][]): ExportSection => ({
  name: 'numbers',
  async *pages() {
    yield* pages
  },
})

function setUp(...sections: ExportSection[]) {
  const clock = new FakeClock()
  return { clock, ...createAccountExport({ clock, sections }) }
}
async function read(document: AsyncIterable<string>) {
  let text = ''
  for await (const piece of document) text += piece
  return JSON.parse(text)
}

test('every section is there, in one JSON document, whatever its pages are', async () => {
  const { open } = setUp(
    account,
    numbers([1, 2], [], [3]),
    { ...numbers(), name: 'none' },
    { ...numbers([]), name: 'empty' },
  )
  expect(await read(await open('a'))).toEqual({
    exported_at: expect.stringMatching(/Z$/),
    account: { id: 'a' },
    numbers: [1, 2, 3],
    none: [],
    empty: [],
  })
})

test('a page is read when the one before has been taken', async () => {
  let read = 0
  const { open } = setUp(account, {
    name: 'pages',
    async *pages() {
      for (;;) yield [++read]
    },
  })
  const document = (await open('a'))[Symbol.asyncIterator]()
  for (let i = 0; i < 6; i++) await document.next()
  expect(read).toBeLessThanOrEqual(6)
  await document.return?.()
})

test('a first section that fails is an error and no document, and the next try may go well', async () => {
  let broken = true
  const { open } = setUp({
    name: 'account',
    async one() {
      if (broken) throw new Error('away')
    },
  })
  await expect(open('a')).rejects.toThrow('away')
  broken = false
  expect(await read(await open('a'))).toMatchObject({ account: null })
})

test('a later one that fails breaks the document off, and ends what it had begun', async () => {
  let ended = false
  const { open } = setUp(account, {
    name: 'broken',
    async *pages() {
      try {
        yield [1]
        throw new Error('away')
      } finally {
        ended = true
      }
    },
  })
  await expect(read(await open('a'))).rejects.toThrow('away')
  expect(ended).toBe(true)
  await expect(read(await open('a')), 'the place is free again').rejects.toThrow('away')
})

test('one at a time for an account, sixteen for all; who leaves gives the place back', async () => {
  const { open } = setUp(account, numbers([1]))
  const documents = await Promise.all(Array.from({ length: 16 }, (_, i) => open(`account ${i}`)))
  await expect(open('another')).rejects.toMatchObject({ code: 'overloaded' })
  const first = documents[0]![Symbol.asyncIterator]()
  await first.next()
  await expect(open('account 0')).rejects.toMatchObject({ code: 'overloaded' })
  await first.return?.()
  expect(await read(await open('account 0'))).toMatchObject({ numbers: [1] })
})

test('a reader that takes a quarter of an hour is cut, and its place is free', async () => {
  const { open, clock } = setUp(account, numbers([1]))
  const slow = (await open('a'))[Symbol.asyncIterator]()
  await slow.next()
  await clock.advance(15 * 60_000)
  expect(await read(await open('a'))).toMatchObject({ numbers: [1] })
  await expect(slow.next()).rejects.toMatchObject({ code: 'deadline_exceeded' })
  expect(clock.pendingTimers).toBe(0)
})
