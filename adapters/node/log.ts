/** The log port over pino: one JSON object a line, and of its fields only those on the allow-list. */
import pino from 'pino'
import type { Log } from '../../src/ports.ts'
import { type LogFields, logFields } from '../../src/telemetry/log-fields.ts'
import { createLineBuffer } from './line-buffer.ts'

export interface NodeLog extends Log {
  /** Writes out what is buffered. Call it before the process ends. */
  flush(): void
}

/** Made once a millisecond, not once a line. */
let stampedMs = 0
let stamp = ''
function timestamp(): string {
  const now = Date.now()
  if (now !== stampedMs) {
    stampedMs = now
    stamp = `,"time":"${new Date(now).toISOString()}"`
  }
  return stamp
}

const allowed = new Set<string>(logFields)

export function createLog(level: 'debug' | 'info' | 'warn' | 'error', fd = 1): NodeLog {
  const lines = createLineBuffer(fd)
  const logger = pino(
    {
      level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      timestamp,
    },
    lines,
  )
  const write =
    (name: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) => {
      if (!logger.isLevelEnabled(name)) return
      const kept: Record<string, unknown> = {}
      for (const field in fields) if (allowed.has(field)) kept[field] = fields[field as keyof LogFields]
      logger[name](kept, message)
    }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    flush: lines.flushSync,
  }
}
