/** A disk that has room for a part of what is written: the one call that a test cannot have from a real one. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { systemClock } from '../../src/resilience/clock.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { openJournal } from './journal.ts'

let missing = 0
vi.mock('node:fs', async (load) => {
  const fs = await load<typeof import('node:fs')>()
  const writeSync = (file: number, bytes: Buffer) => fs.writeSync(file, bytes.subarray(0, bytes.length - missing))
  return { ...fs, writeSync }
})

test.each([1, 5, 12, 30])('what is written again behind a part of it (%i bytes missing) can be read', async (count) => {
  const folder = await mkdtemp(join(tmpdir(), 'journal-'))
  const options = { folder, maxBytes: 1e6, clock: systemClock, log: { warn() {}, error() {} } }
  const first = await openJournal(options)
  first.append('event 0')
  await first.flush()
  missing = count
  for (let i = 1; i < 4; i++) first.append(`event ${i}`)
  await expect(first.flush()).rejects.toMatchObject({ code: 'ENOSPC' })
  await expect(first.flush()).rejects.toMatchObject({ code: 'ENOSPC' })
  expect(first.full).toBe(true)
  missing = 0
  first.append('event 4')
  await first.flush()
  await first.close()
  const second = await openJournal(options)
  expect((await second.oldest(10)).map(({ event }) => event)).toEqual([0, 1, 2, 3, 4].map((n) => `event ${n}`))
  expect(second.lost).toBe(0)
  await second.close()
  await rm(folder, { recursive: true })
})

test('a disk that was full for a while is written to again, though nobody is let in meanwhile who would write', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'journal-'))
  const clock = new FakeClock()
  const journal = await openJournal({ folder, maxBytes: 1e6, clock, log: { warn() {}, error() {} } })
  missing = 1
  journal.append('event 0')
  clock.tick(60_000)
  expect(journal.full).toBe(true)
  missing = 0
  clock.tick(2_000)
  expect(journal.full).toBe(false)
  missing = 1
  journal.append('event 1')
  await expect(journal.close()).rejects.toMatchObject({ code: 'ENOSPC' })
  await clock.advance(60_000)
  expect(clock.pendingTimers, 'it ends all the same').toBe(0)
  missing = 0
  await rm(folder, { recursive: true })
})
