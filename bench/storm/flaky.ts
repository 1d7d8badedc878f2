/** The only provider fails some calls by chance: what callers see of it with one try, and with three. */
import { atLeast, type Bar, type StormRow, told } from '../bars.ts'
import type { Caller } from './load.ts'
import type { StormProvider } from './provider.ts'

const share = 0.05
const minFewer = 0.9

export interface FlakyRun {
  sent: number
  failed: number
  /** Calls at the provider, and how many of them failed. */
  tries: number
  failures: number
}

export async function flakyRun(options: {
  provider: StormProvider
  caller: Caller
  model: string
  seconds: number
  perSecond: number
  seed: number
}): Promise<FlakyRun> {
  const { provider, caller, model, seconds, perSecond, seed } = options
  await provider.take()
  await provider.set({ kind: 'flaky', share, seed })
  // Every second answer is a stream.
  const sent = await caller.sendFor(seconds, perSecond, model, { streamEvery: 2 })
  await provider.set({ kind: 'well' })
  const { arrivals, failed: failures } = await provider.take()
  return { sent: sent.length, failed: sent.filter(({ ok }) => !ok).length, tries: arrivals.length, failures }
}

export function flakyRow(one: FlakyRun, three: FlakyRun, seed: number): StormRow {
  const fewer = 1 - three.failed / three.sent / (one.failed / one.sent)
  const tell = (name: string, run: FlakyRun): Bar =>
    told(name, `${run.failed} of ${run.sent} callers failed; ${run.failures} of ${run.tries} tries did`)
  return {
    storm: `${share * 100} % fail by chance`,
    bars: [
      atLeast('failures fewer', minFewer * 100, fewer * 100, ' %'),
      tell('RETRY_MAX_ATTEMPTS=1', one),
      tell('RETRY_MAX_ATTEMPTS=3', three),
      told('seed', String(seed)),
    ],
  }
}
