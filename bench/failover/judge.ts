/** From what a caller saw and what the provider recorded to checks, and from checks to a verdict. */
import { answer, promptTokens } from './answer.ts'
import type { Seen } from './caller.ts'
import type { Attempt } from './faulty-provider.ts'
import type { Profile } from './profile.ts'

/**
 * `pass`: what was due came, and every check holds. `partial`: it came, but an advisory check failed. `safe`: it did
 * not come, but a clean error did, in time. `fail`: a hang, a short or garbled answer that looks whole, or a required
 * check that failed.
 */
export type Verdict = 'pass' | 'partial' | 'safe' | 'fail'

export interface Check {
  name: string
  saw: string
  /** What the verdict is at best. */
  verdict: Verdict
}

/** One call and the records of it. */
export interface Run {
  seen: Seen
  /** In order, at each of the two providers. */
  primary: Attempt[]
  spare: Attempt[]
  profile: Profile
}

const worstFirst: Verdict[] = ['fail', 'safe', 'partial', 'pass']

export const verdictOf = (checks: readonly Check[]): Verdict =>
  worstFirst.find((verdict) => checks.some((check) => check.verdict === verdict)) ?? 'fail'

export const required = (name: string, holds: boolean, saw: string): Check => ({
  name,
  saw,
  verdict: holds ? 'pass' : 'fail',
})
export const advisory = (name: string, holds: boolean, saw: string): Check => ({
  name,
  saw,
  verdict: holds ? 'pass' : 'partial',
})

/** The whole answer, told of as what it is. */
export function wholeAnswer({ seen, primary, spare }: Run): Check[] {
  const came = answerCheck(seen)
  if (came.verdict !== 'pass') return [came]
  const finisher = spare.at(-1) ?? primary.at(-1)
  const prompt = spare.length > 0 ? promptTokens.spare : promptTokens.primary
  const told = `model ${seen.model}, ${seen.usage?.prompt_tokens ?? 'no'} + ${seen.usage?.completion_tokens ?? 'no'} tokens`
  return [
    came,
    required('reported as', seen.model === finisher?.model && seen.usage?.prompt_tokens === prompt, told),
    headersCheck(seen, [...primary, ...spare]),
  ]
}

export function answerCheck(seen: Seen): Check {
  const { text, done, finish, error, broken, status } = seen
  const words = text === '' ? 'no word' : `${text.split(' ').length} words`
  const inMs = `in ${seconds(seen.ms)}`
  const check = (verdict: Verdict, saw: string) => ({ name: 'answer', verdict, saw: `${saw} ${inMs}` })
  if (broken) return check('fail', `${words}, then: ${broken}`)
  if (!answer.startsWith(text))
    return check('fail', `not what was said: …${text.slice(firstDifference(text)).slice(0, 40)}`)
  if (isCleanError(seen)) return check('safe', `${words}, then error ${error?.code} (status ${status})`)
  if (error) return check('fail', `${words}, an error and yet [DONE]`)
  if (text !== answer) return check('fail', `${words} that ${done ? 'look whole' : 'just end'}`)
  if (!done || finish !== 'stop') return check('fail', `whole, but ${done ? `finish_reason ${finish}` : 'no [DONE]'}`)
  return check('pass', 'whole')
}

const isCleanError = ({ status, error, done, broken }: Seen) =>
  !broken && !done && typeof error?.message === 'string' && error.message !== '' && (status >= 400 || status === 200)

/** The headers went out with the first word: they name who said it. */
function headersCheck({ headers, ms }: Seen, attempts: readonly Attempt[]): Check {
  const named = `${headers.get('x-gpuproxy-provider')}:${headers.get('x-gpuproxy-model')}`
  const known = attempts.some(({ provider, model }) => named === `${provider}:${model}`)
  return required('headers name', known, `${named} (${headers.get('x-gpuproxy-attempts')} tries, ${seconds(ms)})`)
}

/** The provider's own refusal, as it is. */
export function ownError(status: number, code: string, { seen }: Run): Check[] {
  const saw = `status ${seen.status}, code ${seen.error?.code}, ${seconds(seen.ms)}${seen.broken ? `, ${seen.broken}` : ''}`
  if (seen.status === 200 && seen.text === answer) return [advisory('error', false, `an answer all the same: ${saw}`)]
  return [required('error', seen.status === status && seen.error?.code === code && isCleanError(seen), saw)]
}

export function triesAt(
  who: 'primary' | 'spare',
  { least = 0, most }: { least?: number; most: number },
  run: Run,
): Check {
  const tries = run[who]
  const bound = least === most ? `${most}` : `${least}–${most}`
  return advisory(`tries at ${who}`, tries.length >= least && tries.length <= most, `${gaps(tries)} (want ${bound})`)
}

export function burst({ primary, profile: { burstMs } }: Run, most: number): Check {
  const first = primary[0]?.at ?? 0
  const early = primary.filter(({ at }) => at - first <= burstMs).length
  return advisory(`within ${seconds(burstMs)}`, early <= most, `${early} tries at primary (want at most ${most})`)
}

export function waited({ primary }: Run, leastMs: number): Check {
  const [first, second] = primary
  const gapMs = first && second ? second.at - first.at : Number.NaN
  return advisory('waited', gapMs >= leastMs, `${seconds(gapMs)} (want at least ${seconds(leastMs)})`)
}

export function within({ seen }: Run, mostMs: number): Check {
  return advisory('time', seen.ms <= mostMs, `${seconds(seen.ms)} (want at most ${seconds(mostMs)})`)
}

/** A call that nobody waits for any more costs money as long as it goes on. */
export function hungUp({ primary }: Run): Check {
  const open = primary.filter(({ abandoned }) => !abandoned).length
  return advisory('hung up on', open === 0, open === 0 ? 'the silent call was ended' : 'the silent call was left open')
}

/** What the gateway adds for itself must not reach a provider. */
export function cleanBodies({ primary, spare }: Run): Check {
  const fields = new Set([...primary, ...spare].flatMap(({ body }) => Object.keys(body)))
  return required('fields sent', !fields.has('fallbacks'), [...fields].join(', '))
}

export function gaps(tries: readonly Attempt[]): string {
  const waits = tries.slice(1).map(({ at }, index) => seconds(at - tries[index]!.at))
  return waits.length > 0 ? `${tries.length}, ${waits.join(' and ')} apart` : `${tries.length}`
}

function firstDifference(text: string): number {
  let at = 0
  while (text[at] === answer[at]) at++
  return Math.max(0, at - 4)
}

export const seconds = (ms: number) => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`)
