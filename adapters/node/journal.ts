/**
 * What must not be forgotten before it is in the database: one line an event, in groups that each have a checksum, in
 * files that only grow and are removed whole. `append` writes to memory; at the end of the turn of the event loop for those who wait for it,
 * and a few milliseconds later otherwise, the line is with the operating system, so it survives the process, and a moment
 * after that on the disk. What was settled is noted in the same files: after a crash at most the last group is offered
 * again, and whoever takes it must not mind.
 */
import { close, fdatasync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { mkdir, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import type { Clock, Journal, JournalEntry, Log } from '../../src/ports.ts'
import { takeFolder } from './folder-lock.ts'

export interface JournalOptions {
  /** Made if it is not there. One process at a time. */
  folder: string
  /** Bytes of all files together; beyond it events are refused. */
  maxBytes: number
  clock: Clock
  log: Pick<Log, 'warn' | 'error'>
  /** A file is left for the next at this size. @default 4 MiB, and at most an eighth of `maxBytes` */
  segmentBytes?: number
}

/** Lines that are written at once, to one file. */
interface Group {
  segment: Segment
  lines: string[]
}

interface Segment {
  path: string
  /** The last position in it. */
  last: number
  bytes: number
  /** In memory: of the oldest, which is settled from, and of the newest, which is written to. */
  entries: JournalEntry[] | undefined
  /** Its events that are not settled. */
  pending: number
  /** Its lines that are not in the file. */
  unwritten: number
  /** In its file, of whole groups. */
  writtenBytes: number
  /** A part of a group is behind those. */
  torn: boolean
  /** Its descriptor while it is open. */
  file: number | undefined
}

const sync = promisify(fdatasync)
const closeDescriptor = promisify(close)
/** Lines that nobody waits for gather for this long. */
const gatherMs = 10
/** Between two syncs that nobody waits for: while a disk syncs, writes to the same file may have to wait for it. */
const syncEveryMs = 200
const retryMs = 1_000
/** Refused a little before the end, so that what was admitted finds room. */
const fullShare = 0.95
const suffix = '.journal'
/** `G `, eight digits, as many as a file has bytes, and a newline. */
const longestHead = 32
const mostBytesOfCharacter = 3
const settledPromise = Promise.resolve()

export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { folder, maxBytes, clock, log, segmentBytes = Math.min(4 * 1024 * 1024, maxBytes / 8) } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const releaseFolder = await takeFolder(folder)
  const found = await replay(folder)
  let { settled, lost } = found
  let position = found.position
  const segments: Segment[] = []
  for (const segment of found.segments) {
    if (segment.last > settled) segments.push(segment)
    else await unlink(segment.path)
  }
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  let pending = segments.reduce((sum, segment) => sum + segment.pending, 0)
  if (lost > 0) log.warn('journal lines were unreadable and are lost', { detail: String(lost) })

  const newSegment = (first: number): Segment => {
    const path = join(folder, `${String(first).padStart(16, '0')}${suffix}`)
    const empty = { bytes: 0, pending: 0, unwritten: 0, writtenBytes: 0, torn: false, file: undefined }
    return { path, last: first - 1, entries: [], ...empty }
  }
  // Never behind what a dead process wrote: its last line may be torn.
  let active = newSegment(position + 1)
  segments.push(active)

  /** What is not written yet. Of two segments only while the older one's lines could not be. */
  const groups: Group[] = []
  let [appended, written, synced] = [0, 0, 0]
  let cancelGather: (() => void) | undefined
  /** Those who wait for the end of this turn. */
  let turn: Promise<void> | undefined
  let syncing = false
  /** Ends the pause between two syncs. */
  let syncNow = () => {}
  let failing = false
  let closed = false
  const dirty = new Set<Segment>()
  let waiting: { upTo: number; resolve(): void; reject(error: unknown): void }[] = []

  function add(line: string, size = line.length) {
    active.bytes += size
    active.unwritten++
    bytes += size
    appended++
    const newest = groups.at(-1)
    if (newest?.segment === active) newest.lines.push(line)
    else groups.push({ segment: active, lines: [line] })
    writeIn(failing ? retryMs : gatherMs)
  }

  function writeIn(ms: number) {
    cancelGather ??= clock.setTimer(ms, () => {
      cancelGather = undefined
      try {
        writeOut()
      } catch {
        // Told below. While it fails nobody is let in who would write the next line.
        if (!closed) writeIn(retryMs)
      }
    })
  }

  /**
   * Blocking on purpose: it is a copy into the system's memory, a few microseconds for all lines of a turn, where
   * handing it to a thread costs tens of them, and the requests that wait for it could not leave before.
   */
  function writeOut(): void {
    try {
      for (let group = groups[0]; group; group = groups[0]) {
        const { segment } = group
        writeGroup(group)
        groups.shift()
        failing = false
        // A later one is written to now, and an earlier one is settled from: this one can be read again.
        if (segment !== active && segment !== segments[0]) segment.entries = undefined
      }
    } catch (error) {
      if (!failing) log.error('the journal cannot be written', { code: (error as NodeJS.ErrnoException).code })
      failing = true
      refuseWaiting(error)
      throw error
    }
    void syncOut()
  }

  function writeGroup({ segment, lines }: Group) {
    segment.file ??= openSync(segment.path, 'a', 0o600)
    const bytes = encodeGroup(lines.length === 1 ? lines[0]! : lines.join(''))
    // What a full disk took a part of is taken back, since the whole will be tried: behind a part it could not be read.
    if (segment.torn) ftruncateSync(segment.file, segment.writtenBytes)
    segment.torn = true
    if (writeSync(segment.file, bytes) < bytes.length) throw new PartlyWritten()
    segment.torn = false
    segment.writtenBytes += bytes.length
    segment.unwritten -= lines.length
    written += lines.length
    dirty.add(segment)
  }

  function endOfTurn(): Promise<void> {
    turn ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        turn = undefined
        try {
          writeOut()
          resolve()
        } catch (error) {
          reject(error)
        }
      })
    })
    return turn
  }

  async function syncOut(): Promise<void> {
    if (syncing) return
    syncing = true
    try {
      while (synced < written) {
        const upTo = written
        for (const segment of [...dirty]) {
          dirty.delete(segment)
          if (segment.file !== undefined) await sync(segment.file)
          if (segment !== active && segment.unwritten === 0) await closeFile(segment)
        }
        synced = upTo
        waiting = waiting.filter(({ upTo, resolve }) => upTo > synced || resolve())
        if (waiting.length === 0 && !closed) await pause()
      }
    } catch (error) {
      log.error('the journal cannot be synced', { code: (error as NodeJS.ErrnoException).code })
      refuseWaiting(error)
    } finally {
      syncing = false
    }
  }

  const pause = () =>
    new Promise<void>((resolve) => {
      const cancel = clock.setTimer(syncEveryMs, resolve)
      syncNow = () => {
        cancel()
        resolve()
      }
    })

  async function closeFile(segment: Segment) {
    const { file } = segment
    segment.file = undefined
    if (file !== undefined) await closeDescriptor(file)
  }

  function refuseWaiting(error: unknown) {
    for (const { reject } of waiting) reject(error)
    waiting = []
  }

  async function flush(): Promise<void> {
    if (synced >= appended) return
    writeOut()
    await new Promise<void>((resolve, reject) => {
      waiting.push({ upTo: appended, resolve, reject })
      syncNow()
      void syncOut()
    })
  }

  /** All of it is settled: its room is free. */
  function removeOldest() {
    const segment = segments.shift()!
    bytes -= segment.bytes
    const remove = async () => {
      if (segment.unwritten > 0) await flush()
      dirty.delete(segment)
      await closeFile(segment)
      await unlink(segment.path)
    }
    // Left behind it is found to be settled at the next start.
    remove().catch(() => {})
    if (segment.pending === 0) return
    // It was read again, and a disk that had it no longer has it: the others must not wait for what never comes.
    lost += segment.pending
    pending -= segment.pending
    log.error('journal lines became unreadable and are lost', { detail: String(segment.pending) })
  }

  return {
    append(event) {
      // Asking also makes one text of it: one put together from pieces stays a tree of them until then, and to hold and
      // join hundreds of trees costs several times as much as what they say.
      if (event.includes('\n')) throw new Error('an event is one line')
      if (closed || (failing && appended - written > 10_000)) return 0
      const line = encode('E', position + 1, event)
      // Characters will do: hardly any is longer than a byte, and counting those would cost as much as writing them.
      const size = line.length
      if (bytes + size > maxBytes) return 0
      position++
      if (active.bytes + size > segmentBytes && active.bytes > 0) {
        const former = active
        active = newSegment(position)
        segments.push(active)
        if (former.unwritten === 0 && former !== segments[0]) former.entries = undefined
        // Its file is closed after the next sync.
        dirty.add(former)
      }
      active.entries!.push({ position, event })
      active.last = position
      active.pending++
      pending++
      add(line, size)
      return position
    },
    written: () => (groups.length === 0 ? settledPromise : endOfTurn()),
    flush,
    async *unsettled() {
      for (const segment of [...segments]) {
        const entries = segment.entries ?? (await readSegment(segment.path)).entries
        for (const entry of [...entries]) if (entry.position > settled) yield entry
      }
    },
    async oldest(max) {
      for (;;) {
        const segment = segments[0]!
        segment.entries ??= (await readSegment(segment.path)).entries.filter((entry) => entry.position > settled)
        if (segment.entries.length > 0 || segment === active) return segment.entries.slice(0, max)
        settled = Math.max(settled, segment.last)
        removeOldest()
      }
    },
    settle(upTo) {
      if (upTo <= settled) return
      for (;;) {
        const segment = segments[0]!
        const { entries } = segment
        if (entries) {
          const left = entries.findIndex((entry) => entry.position > upTo)
          const done = left < 0 ? entries.length : left
          entries.splice(0, done)
          segment.pending -= done
          pending -= done
        }
        if (segment === active || segment.last > upTo) break
        removeOldest()
      }
      settled = upTo
      // The mark goes in even where the journal is full: it is what makes room.
      add(encode('S', settled, ''))
      if (pending === 0 && active.bytes > segmentBytes / 4) {
        const former = active
        active = newSegment(position + 1)
        segments.push(active)
        // The mark must outlive the file that it is about.
        add(encode('S', settled, ''))
        if (segments[0] === former) removeOldest()
      }
    },
    get pending() {
      return pending
    },
    get position() {
      return position
    },
    get full() {
      return failing || bytes > maxBytes * fullShare
    },
    get lost() {
      return lost
    },
    async close() {
      try {
        await flush()
      } finally {
        closed = true
        cancelGather?.()
      }
      for (const segment of segments) await closeFile(segment)
      await releaseFolder()
    },
  }
}

class PartlyWritten extends Error {
  readonly code = 'ENOSPC'
}

/** `E 17 {...}` for an event, `S 17` for "settled up to", in groups under a head `G <crc32> <bytes>`. */
const encode = (kind: 'E' | 'S', position: number, event: string) =>
  event === '' ? `${kind} ${position}\n` : `${kind} ${position} ${event}\n`

/** Where groups are put together: they are written before the next one is, so none needs memory of its own. */
const scratch = Buffer.allocUnsafe(256 * 1024)

/** Good until the next call. */
function encodeGroup(text: string): Buffer {
  const most = longestHead + mostBytesOfCharacter * text.length
  const bytes = most <= scratch.length ? scratch : Buffer.allocUnsafe(most)
  const end = longestHead + bytes.write(text, longestHead)
  const head = `G ${checksum(bytes.subarray(longestHead, end))} ${end - longestHead}\n`
  const start = longestHead - head.length
  bytes.write(head, start, 'latin1')
  return bytes.subarray(start, end)
}

const checksum = (body: Buffer) => crc32(body).toString(16).padStart(8, '0')

interface Read {
  entries: JournalEntry[]
  settled: number
  /** Unreadable lines that may have been events. */
  lost: number
  bytes: number
}

const groupMark = Buffer.from('\nG ')

async function readSegment(path: string): Promise<Read> {
  const all = await readFile(path)
  const read: Read = { entries: [], settled: 0, lost: 0, bytes: all.length }
  const known = new Set<number>()
  for (let at = 0; at < all.length; ) {
    const [head = '', sum, bytes] = /^G ([0-9a-f]{8}) (\d+)\n/.exec(all.toString('latin1', at, at + longestHead)) ?? []
    const body = all.subarray(at + head.length, at + head.length + Number(bytes ?? 0))
    if (sum !== undefined && body.length === Number(bytes) && checksum(body) === sum) {
      readGroup(body.toString(), read, known)
      at += head.length + body.length
      continue
    }
    // Torn or changed: what follows begins with the next head. Of a torn one the lines that are whole were written.
    const next = all.indexOf(groupMark, at + 1)
    const end = next < 0 ? all.length : next + 1
    const torn = sum !== undefined && body.length < Number(bytes) && end === all.length
    const whole = torn ? all.lastIndexOf('\n') + 1 : at
    if (whole > at) readGroup(all.toString('utf8', at + head.length, whole), read, known, { checked: false })
    read.lost += countEvents(all.toString('latin1', whole, end))
    at = end
  }
  return read
}

/** What is no line at all may have been one. */
const countEvents = (text: string) => (text === '' ? 0 : Math.max(1, text.match(/^E \d/gm)?.length ?? 0))

/** Not `checked`: after a power cut a file may hold zeros where text should be, which is never a part of a line. */
function readGroup(text: string, read: Read, known: Set<number>, { checked = true } = {}) {
  for (const line of text.split('\n')) {
    const [, kind, digits, event = ''] = /^([ES]) (\d+)(?: (.*))?$/s.exec(line) ?? []
    const position = Number(digits)
    if (kind === 'S') read.settled = Math.max(read.settled, position)
    else if (kind === 'E' && !known.has(position)) {
      if (!checked && event.includes('\0')) {
        read.lost++
        continue
      }
      known.add(position)
      read.entries.push({ position, event })
    }
  }
}

async function replay(folder: string) {
  const names = (await readdir(folder)).filter((name) => name.endsWith(suffix)).sort()
  const state = { segments: [] as Segment[], settled: 0, position: 0, lost: 0 }
  const positions: number[][] = []
  for (const name of names) {
    const path = join(folder, name)
    const { entries, settled, lost, bytes } = await readSegment(path)
    const last = entries.at(-1)?.position ?? 0
    state.settled = Math.max(state.settled, settled)
    state.position = Math.max(state.position, last, settled)
    state.lost += lost
    positions.push(entries.map((entry) => entry.position))
    const written = { unwritten: 0, writtenBytes: bytes, torn: false, file: undefined }
    state.segments.push({ path, last, bytes, entries: undefined, pending: 0, ...written })
  }
  for (const [i, segment] of state.segments.entries()) {
    segment.pending = positions[i]!.filter((position) => position > state.settled).length
  }
  return state
}
