/** Callers who fail at the same moment must not come back at the same moment, nor keep one another waiting. */
import { ask, type Seen } from './caller.ts'
import type { Attempt } from './faulty-provider.ts'
import { advisory, answerCheck, type Check, required, seconds } from './judge.ts'

const callers = 6
/** The second tries must spread over so much: far more than six sockets need, far less than jitter gives. */
const leastSpreadMs = 3
/** Two or three may fall on one moment by chance: four within 3 of 100 ms do so once in 10,000 times. */
const fewestToJudge = 4

export async function judgeCrowd(options: {
  url: string
  apiKey: string
  model: string
  limitMs: number
  /** Longest time for one of them: somebody else could have answered long ago. */
  maxMs: number
  /** At the first provider. */
  attempts: () => Attempt[]
}): Promise<Check[]> {
  const { attempts, maxMs, ...call } = options
  const all: Seen[] = await Promise.all(Array.from({ length: callers }, () => ask(call)))
  const whole = all.filter((seen) => answerCheck(seen).verdict === 'pass').length
  // The budget may refuse some a second try; those that are left tell enough.
  const again = attempts()
    .slice(callers)
    .map(({ at }) => at)
  const spreadMs = again.length < fewestToJudge ? Number.NaN : Math.max(...again) - Math.min(...again)
  const slowestMs = Math.max(...all.map(({ ms }) => ms))
  return [
    required('crowd', whole === callers, `${whole} of ${callers} callers at once got it whole`),
    advisory('jitter', !(spreadMs < leastSpreadMs), `${again.length} second tries spread over ${seconds(spreadMs)}`),
    advisory('slowest of them', slowestMs <= maxMs, `${seconds(slowestMs)} (want at most ${seconds(maxMs)})`),
  ]
}
