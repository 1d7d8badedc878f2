import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Journal } from '../../src/ports.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import { journalContract } from '../../tests/contracts/journal.ts'
import { type JournalOptions, openJournal } from './journal.ts'

let folder: string
const opened: Journal[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'journal-'))
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((journal) => journal.close()))
  await rm(folder, { recursive: true, force: true })
})

const silent = { warn() {}, error() {} }
async function open(options: Partial<JournalOptions> = {}) {
  const journal = await openJournal({ folder, maxBytes: 64 * 1024 * 1024, clock: systemClock, log: silent, ...options })
  opened.push(journal)
  return journal
}
const close = async (journal: Journal) => {
  opened.splice(opened.indexOf(journal), 1)
  await journal.close()
}
const files = async () => (await readdir(folder)).filter((name) => name !== 'lock').sort()
const patiently = { interval: 5, timeout: 10_000 }

async function all(journal: Journal) {
  const events: string[] = []
  for (;;) {
    const group = await journal.oldest(500)
    if (group.length === 0) return events
    events.push(...group.map(({ event }) => event))
    journal.settle(group.at(-1)!.position)
  }
}

journalContract('the journal in files', async (options) => ({ journal: await open(options) }))

test('what was appended is in a file within milliseconds, without anybody waiting for it', async () => {
  const journal = await open()
  journal.append('{"a":1}')
  await vi.waitFor(async () => {
    const [name = ''] = await files()
    expect(await readFile(join(folder, name), 'utf8')).toMatch(/^G [0-9a-f]{8} 12\nE 1 \{"a":1\}\n$/)
  }, patiently)
})

test('lines that come while others are being written are written too', async () => {
  const journal = await open()
  for (let i = 0; i < 300; i++) {
    journal.append(`event ${i}`)
    if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await journal.flush()
  const [name = ''] = await files()
  expect((await readFile(join(folder, name), 'utf8')).match(/^E .*\n/gm)).toHaveLength(300)
})

test('the next process finds what was not settled, once, and goes on counting', async () => {
  const first = await open()
  for (let i = 0; i < 10; i++) first.append(`event ${i}`)
  const group = await first.oldest(4)
  first.settle(group[3]!.position)
  await close(first)
  const second = await open()
  expect(second.pending).toBe(6)
  expect(second.lost).toBe(0)
  second.append('event 10')
  expect((await all(second))[0]).toBe('event 4')
  await close(second)
  const third = await open()
  expect(third.pending).toBe(0)
  third.append('event 11')
  expect(await third.oldest(9)).toEqual([{ position: 12, event: 'event 11' }])
})

test('a torn last line is dropped and counted; a line that was changed is, too', async () => {
  const first = await open()
  for (let i = 0; i < 5; i++) first.append(`event ${i}`)
  await close(first)
  const [name = ''] = await files()
  const path = join(folder, name)
  await truncate(path, (await stat(path)).size - 3)
  const second = await open()
  expect(second.lost).toBe(1)
  expect(await all(second)).toEqual(['event 0', 'event 1', 'event 2', 'event 3'])
  second.append('event 5')
  await close(second)
  const newest = join(folder, (await files()).at(-1)!)
  await writeFile(newest, (await readFile(newest, 'utf8')).replace('event 5', 'event 6'))
  await appendFile(newest, 'G torn')
  const third = await open()
  // The changed one, and what may have been one.
  expect(third.lost).toBe(2)
  expect(third.pending).toBe(0)
})

test('files grow to a size, are removed once all in them is settled, and keep only two in memory', async () => {
  const journal = await open({ segmentBytes: 1_000 })
  for (let i = 0; i < 200; i++) journal.append(`event ${i}`)
  await journal.flush()
  const before = (await files()).length
  expect(before).toBeGreaterThan(3)
  const events = await all(journal)
  expect(events).toEqual(Array.from({ length: 200 }, (_, i) => `event ${i}`))
  await journal.flush()
  await vi.waitFor(async () => expect((await files()).length).toBeLessThanOrEqual(2), patiently)
})

test('a folder is used by one process at a time, and is taken over from one that is gone', async () => {
  await open()
  await expect(open()).rejects.toThrow(/is in use by another gateway \(pid \d+\)/)
  await Promise.all(opened.splice(0).map((journal) => journal.close()))
  await writeFile(join(folder, 'lock'), '999999 12345')
  await close(await open())
  // A process of the same number that started at another time.
  await writeFile(join(folder, 'lock'), `${process.pid} 1`)
  await open()
})

test('kill -9: all that was flushed is there, in order, and nothing twice', async () => {
  const writer = fileURLToPath(new URL('../../tests/support/journal-writer.ts', import.meta.url))
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, [writer, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    await vi.waitFor(() => expect(text.split('\n').length).toBeGreaterThan(5 + round * 3), patiently)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    const flushed = Number(text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1))
    const journal = await open()
    expect(journal.lost).toBeLessThanOrEqual(1)
    const found = (await all(journal)).map((event) => JSON.parse(event).n as number)
    expect(found.length).toBeGreaterThanOrEqual(flushed)
    expect(found).toEqual(found.map((_, i) => i))
    await close(journal)
  }
})

test('a line of a torn group that was not written to the disk is dropped and counted', async () => {
  const first = await open()
  first.append('event 0')
  await first.flush()
  await close(first)
  await appendFile(join(folder, (await files()).at(-1)!), `G 01234567 500\nE 2 event\0\0\0\0\nE 3 event 2\nE 4 ev`)
  const second = await open()
  expect(await all(second)).toEqual(['event 0', 'event 2'])
  expect(second.lost).toBe(2)
})

test('a file that was whole and can no longer be read is counted as lost, and the others do not wait for it', async () => {
  const error = vi.fn()
  const journal = await open({ segmentBytes: 100, log: { ...silent, error } })
  for (let i = 0; i < 40; i++) {
    journal.append(`event ${i}`)
    await journal.written()
  }
  await journal.flush()
  const names = await files()
  await writeFile(join(folder, names[2]!), 'nothing that can be read')
  const left = await all(journal)
  expect(journal.pending).toBe(0)
  expect(journal.lost).toBe(40 - left.length)
  expect(journal.lost).toBeGreaterThan(0)
  expect(left.at(-1)).toBe('event 39')
  expect(error).toHaveBeenCalledWith('journal lines became unreadable and are lost', { detail: String(journal.lost) })
})

test('a disk that takes nothing is told, and the journal counts as full', async () => {
  const error = vi.fn()
  const journal = await open({ log: { ...silent, error }, segmentBytes: 1_000 })
  journal.append('event 0')
  await journal.flush()
  await rm(folder, { recursive: true })
  // Only a new file needs the folder.
  for (let i = 1; i < 100; i++) journal.append(`event ${i}`)
  await vi.waitFor(() => expect(journal.full).toBe(true), patiently)
  expect(error).toHaveBeenCalledWith('the journal cannot be written', { code: 'ENOENT' })
  await expect(journal.flush()).rejects.toMatchObject({ code: 'ENOENT' })
  opened.splice(0)
})
