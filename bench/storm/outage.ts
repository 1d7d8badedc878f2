/** The only provider goes away under steady load: how often it is tried all the same, and how soon all is well again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { atMost, type Bar, type StormRow, told } from '../bars.ts'
import { percentile } from '../statistics.ts'
import { type Caller, failuresOf, type Sent } from './load.ts'
import { type StormProvider, wallNow } from './provider.ts'

/** After it: as long as the return may take, and a while in which nothing may fail. */
const returnSeconds = 15
const maxRecoverySeconds = 10
const maxTriesPerRequest = { off: 1.12, on: 0.05 }

export async function outage(options: {
  how: 'unavailable' | 'refused'
  breaker: 'off' | 'on'
  provider: StormProvider
  caller: Caller
  model: string
  upstream: string
  /** Before the outage: the retry budget saves up, and the breaker sees that all is well. */
  goodSeconds: number
  seconds: number
  perSecond: number
}): Promise<StormRow> {
  const { how, breaker, provider, caller, model, upstream, goodSeconds, seconds, perSecond } = options
  await provider.take()
  const all = caller.sendFor(goodSeconds + seconds + returnSeconds, perSecond, model)
  await sleep(goodSeconds * 1_000)
  await provider.set({ kind: how })
  const downAt = wallNow()
  await sleep(seconds * 1_000)
  await provider.set({ kind: 'well' })
  const upAt = wallNow()
  const sent = await all
  const { arrivals, probes } = await provider.take()

  const during = sent.filter(({ at }) => at >= downAt && at < upAt)
  const recorded = arrivals.filter((one) => one.upstream === upstream && one.at >= downAt && one.at < upAt).length
  const byHeader = during.reduce((sum, { tries }) => sum + tries, 0)
  // A refused connection leaves no record at the provider; what the gateway tells is checked in the other rows.
  const tries = how === 'refused' ? byHeader : recorded
  const refusals = Float64Array.from(
    during.filter(({ ok }) => !ok),
    ({ ms }) => ms,
  ).sort()
  const bars: Bar[] = [
    atMost('tries per request', maxTriesPerRequest[breaker], tries / during.length),
    atMost('recovery', maxRecoverySeconds, recoverySeconds(sent, upAt), ' s'),
    told(
      'requests',
      `${during.length} in the outage, ${sent.length} in all, ${sent.filter(({ ok }) => ok).length} answered`,
    ),
    told(
      'tries',
      `${tries} ${how === 'refused' ? 'as the gateway tells' : `recorded, ${byHeader} as the gateway tells`}`,
    ),
    told('refused', failuresOf(during)),
    told('probes', String(probes)),
    told(
      'a refusal takes',
      `p50 ${percentile(refusals, 50).toFixed(1)} ms, p99 ${percentile(refusals, 99).toFixed(1)} ms`,
    ),
  ]
  return { storm: `outage, ${how}, breaker ${breaker}`, bars }
}

/** Whole seconds after the return until the first second from which on every call is answered. */
export function recoverySeconds(sent: readonly Sent[], upAt: number): number {
  const lastFailure = Math.max(...sent.filter(({ at, ok }) => at >= upAt && !ok).map(({ at }) => at))
  const lastAt = Math.max(...sent.map(({ at }) => at))
  if (lastFailure === -Infinity) return 0
  const seconds = Math.floor((lastFailure - upAt) / 1_000) + 1
  // A failure in the last second of all: it never came back.
  return lastFailure > lastAt - 1_000 ? Infinity : seconds
}
