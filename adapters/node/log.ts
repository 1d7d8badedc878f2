/**
 * The log port: one JSON object a line, and of its fields only those on the allow-list. Written out by hand: the fields
 * are flat and few, and a general logger's way through them cost a tenth of a small completion.
 */
import type { Log } from '../../src/ports.ts'
import { type LogFields, logFields } from '../../src/telemetry/log-fields.ts'
import { createLineBuffer } from './line-buffer.ts'

export interface NodeLog extends Log {
  /** Writes out what is buffered. Call it before the process ends. */
  flush(): void
}

const levels = ['debug', 'info', 'warn', 'error'] as const
type Level = (typeof levels)[number]

/** Each field's key as it stands in a line. */
const keys = new Map<string, string>(logFields.map((field) => [field, `,"${field}":`]))
/** Text that JSON takes as it is; nearly all that is logged. */
const plain = /^[\w .:/-]*$/

export function createLog(level: Level, fd = 1): NodeLog {
  const lines = createLineBuffer(fd)
  const write = (name: Level) => {
    if (levels.indexOf(name) < levels.indexOf(level)) return () => {}
    return (message: string, fields: LogFields = {}) => {
      let line = `{"level":"${name}","time":"${timestamp()}","msg":${text(message)}`
      for (const field in fields) {
        const key = keys.get(field)
        const value = fields[field as keyof LogFields]
        if (key !== undefined && value !== undefined) line += key + (typeof value === 'string' ? text(value) : value)
      }
      lines.write(`${line}}\n`)
    }
  }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    flush: lines.flushSync,
  }
}

const text = (value: string) => (plain.test(value) ? `"${value}"` : JSON.stringify(value))

/** Made once a millisecond, not once a line. */
let stampedMs = 0
let stamp = ''
function timestamp(): string {
  const now = Date.now()
  if (now !== stampedMs) {
    stampedMs = now
    stamp = new Date(now).toISOString()
  }
  return stamp
}
