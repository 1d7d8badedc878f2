/** S15: a provider that is away for a while, asked twenty times from the start of the outage until well after it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Seen } from './caller.ts'
import type { FaultyProvider } from './faulty-provider.ts'
import { advisory, answerCheck, type Check, required, seconds } from './judge.ts'
import type { Profile } from './profile.ts'
import { type Outage, outageNames } from './setting.ts'

const calls = 20
/** The last two calls must be back where they belong. */
const lateCalls = 2
/** One of each call, and a little: a breaker needs some failures to open, and then trials. */
const maxTries = 15

export async function judgeOutage(options: {
  how: Outage
  provider: FaultyProvider
  url: string
  apiKey: string
  profile: Profile
}): Promise<Check[]> {
  const { how, provider, url, apiKey, profile } = options
  const { outageMs, maxReturnMs, limitMs } = profile
  const { model, primary } = outageNames(how)
  const everyMs = (outageMs + maxReturnMs) / (calls - lateCalls)

  await provider.goDown(how)
  const downAt = performance.now()
  let backAt = Number.NaN
  const back = sleep(outageMs).then(async () => {
    await provider.comeBack()
    backAt = performance.now()
  })
  const all = await Promise.all(
    Array.from({ length: calls }, async (_, i) => {
      await sleep(i * everyMs)
      const at = performance.now()
      return { at, seen: await ask({ url, apiKey, model, limitMs }) }
    }),
  )
  await back

  const bad = all.map(({ seen }) => answerCheck(seen)).filter(({ verdict }) => verdict !== 'pass')
  const ofPrimary = ({ seen }: { seen: Seen }) => seen.model === primary
  const returned = all.find((each) => each.at > backAt && ofPrimary(each))
  const late = all.slice(-lateCalls)
  const inOutage = <T>(times: T[], at: (one: T) => number) =>
    times.filter((one) => at(one) >= downAt && at(one) < backAt).length
  const served = required(
    'served',
    bad.length === 0,
    `${calls - bad.length} of ${calls} whole${bad[0] ? `; ${bad[0].saw}` : ''}`,
  )
  const back30 = advisory(
    'back',
    late.every(ofPrimary),
    returned ? `on primary ${seconds(returned.at - backAt)} after its return` : 'never on primary again',
  )
  // A refused connection leaves no record.
  if (how === 'refused') return [served, back30]
  const tries = inOutage(provider.attempts, ({ at }) => at)
  const probes = inOutage(provider.probes, (at) => at)
  const maxProbes = Math.ceil(outageMs / 3_000) + 1
  return [
    served,
    back30,
    advisory('tries', tries <= maxTries, `${tries} at the dead primary (want at most ${maxTries})`),
    advisory('probes', probes <= maxProbes, `${probes} (want at most ${maxProbes})`),
  ]
}
