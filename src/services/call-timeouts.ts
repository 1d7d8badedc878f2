/** How long a target may take: by the routing table, else by the configuration. */
import type { CallTimeouts } from '../providers/openai.ts'
import type { TargetTimeouts } from '../routing/table.ts'

/** In ms. */
export interface Timeouts {
  headersMs: number
  firstTokenMs: number
  idleMs: number
  totalMs: number
}

/** On the last target only an outright silence ends a stream. Models that think are silent for as long at any time. */
const silenceMs = 120_000

export function callTimeouts(own: Partial<TargetTimeouts>, byDefault: Timeouts, thinks: boolean): CallTimeouts {
  const least = thinks ? silenceMs : 0
  const firstTokenMs = own.firstTokenMs ?? Math.max(byDefault.firstTokenMs, least)
  const idleMs = own.idleMs ?? Math.max(byDefault.idleMs, least)
  const totalMs = own.totalMs ?? byDefault.totalMs
  const lastMs = thinks && own.firstTokenMs === undefined ? totalMs : silenceMs
  return {
    // No token comes before them, and some send them with the first.
    headersMs: own.headersMs ?? Math.max(byDefault.headersMs, own.firstTokenMs ?? least),
    firstTokenMs,
    idleMs,
    lastSilenceMs: Math.max(lastMs, firstTokenMs, idleMs),
    totalMs,
  }
}
