/** Collects log lines and writes many at once, within bounds: a write for each would be the dearest part of a request. */
import { write, writeSync } from 'node:fs'

export interface LineBuffer {
  /** `line` ends in a newline. */
  write(line: string): void
  /** Writes out everything at once, waiting for it: for the process's end. */
  flushSync(): void
}

const flushChars = 64 * 1024
const flushEveryMs = 1_000
/** Lines that wait while the reader stands still; further ones are dropped and counted in a line of their own. */
const maxWaitingChars = 8 * 1024 * 1024
/** How often a full pipe is tried again at the end of the process, and how long its reader is waited for in all. */
const fullPipe = { everyMs: 10, longestMs: 1_000 }

export function createLineBuffer(fd: number): LineBuffer {
  let lines: string[] = []
  let chars = 0
  let dropped = 0
  let writing: Buffer | undefined

  const take = (): Buffer => {
    if (dropped > 0) lines.push(`{"level":"error","msg":"log lines dropped","detail":"${dropped}"}\n`)
    const bytes = Buffer.from(lines.join(''))
    lines = []
    chars = 0
    dropped = 0
    return bytes
  }

  const flush = () => {
    if (writing || lines.length === 0) return
    writeAll(take())
  }

  const writeAll = (bytes: Buffer) => {
    writing = bytes
    write(fd, bytes, (error: NodeJS.ErrnoException | null, written) => {
      writing = undefined
      // A pipe whose reader is slow; any other failure leaves nobody to tell.
      if (error?.code === 'EAGAIN') setTimeout(() => writeAll(bytes), 10)
      else if (!error && written < bytes.length) writeAll(bytes.subarray(written))
      else if (chars >= flushChars) flush()
    })
  }
  setInterval(flush, flushEveryMs).unref()

  return {
    write(line) {
      if (chars > maxWaitingChars) {
        dropped++
        return
      }
      lines.push(line)
      chars += line.length
      if (chars >= flushChars) flush()
    },
    flushSync() {
      let leftMs = fullPipe.longestMs
      for (const bytes of [writing, take()]) {
        for (let rest = bytes; rest && rest.length > 0; ) {
          try {
            rest = rest.subarray(writeSync(fd, rest))
          } catch (error) {
            // The reader has gone, or stands still while the process ends.
            if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || leftMs <= 0) return
            leftMs -= fullPipe.everyMs
            waitSync(fullPipe.everyMs)
          }
        }
      }
    },
  }
}

/** Everything stands still meanwhile. */
const waitSync = (ms: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
