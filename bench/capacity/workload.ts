/** What a trace asks of a fleet, second by second. */
import type { TracedRequest } from '../trace.ts'

/** Streams of about the same length. */
export interface Streams {
  count: number
  /** How many steps each lasts. */
  steps: number
  /** Of one of them, in a step. */
  tokensPerStep: number
}

export interface Workload {
  stepMs: number
  /** What begins in each step. */
  steps: readonly (readonly Streams[])[]
}

export interface WorkloadOptions {
  stepMs: number
  /** How many requests each recorded one stands for. */
  rate: number
  /** A recorded request's copies arrive evenly over so long: a thousand callers do not press a key at once. */
  spreadMs: number
  /** Until a provider's first token, and from token to token. */
  firstTokenMs: number
  tokenMs: number
}

export function workloadOf(trace: readonly TracedRequest[], options: WorkloadOptions): Workload {
  const { stepMs, rate, spreadMs, firstTokenMs, tokenMs } = options
  const spreadSteps = Math.max(1, Math.round(spreadMs / stepMs))
  const lastMs = trace.at(-1)?.atMs ?? 0
  const lengths = Array.from(
    { length: Math.floor(lastMs / stepMs) + spreadSteps },
    () => new Map<number, { count: number; tokens: number }>(),
  )
  for (const { atMs, generatedTokens } of trace) {
    const steps = Math.max(1, Math.round((firstTokenMs + generatedTokens * tokenMs) / stepMs))
    for (let i = 0; i < spreadSteps; i++) {
      const of = lengths[Math.floor(atMs / stepMs) + i]!
      const known = of.get(steps) ?? { count: 0, tokens: 0 }
      known.count += rate / spreadSteps
      known.tokens += (generatedTokens * rate) / spreadSteps
      of.set(steps, known)
    }
  }
  return {
    stepMs,
    steps: lengths.map((of) =>
      [...of].map(([steps, { count, tokens }]) => ({ count, steps, tokensPerStep: tokens / count / steps })),
    ),
  }
}
