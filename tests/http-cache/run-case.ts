/** Has one conversation of `cases.ts` through a cache, and says what was not as it must be. */
import type { Case, CaseHeaders, HeaderValue, OriginAnswer, Step } from './cases.ts'

/** What the scripted origin was asked. */
export interface Asked {
  method: string
  headers: Record<string, string>
}

/** Answers for each URL what it was told last, and remembers what it was asked. */
export interface ScriptedOrigin {
  say(path: string, answer: PreparedAnswer | 'down'): void
  asked(path: string): Asked[]
}

export interface PreparedAnswer {
  status: number
  headers: [string, string][]
  body: string
}

export interface Seen {
  status: number
  headers: Record<string, string>
  body: string
  /** The answer did not come whole, or not at all. */
  broken: boolean
}

export interface CacheUnderTest {
  origin: ScriptedOrigin
  ask(path: string, init: { method: string; headers: Record<string, string>; body?: string }): Promise<Seen>
  /** What goes on after the answer to such a question has left is done. */
  settled(path: string, headers: Record<string, string>): Promise<void>
}

export async function runCase(
  { steps }: Case,
  path: string,
  { origin, ask, settled }: CacheUnderTest,
): Promise<string[]> {
  const wrong: string[] = []
  const now = Date.now()
  for (const [i, step] of steps.entries()) {
    const complain = (what: string) => wrong.push(`step ${i + 1}: ${what}`)
    const own = path + (step.suffix ?? '')
    const answer = step.origin === 'down' ? 'down' : prepared(step.origin ?? {}, i, path, now)
    origin.say(own, answer)
    const before = origin.asked(own).length
    const method = step.method ?? 'GET'
    const headers = Object.fromEntries(headersOf(step.headers, path, now))
    const seen = await ask(own, {
      method,
      headers,
      ...(step.body !== undefined && { body: step.body }),
    })
    const questions = origin.asked(own).slice(before)
    if (step.broken) {
      if (!seen.broken) complain('the answer came whole')
      await settled(own, headers)
      continue
    }
    if (seen.broken) complain('the answer did not come whole')
    judge(step, seen, questions, answer, { complain, now, method })
    if (i < steps.length - 1) await settled(own, headers)
  }
  return wrong
}

function judge(
  step: Step,
  seen: Seen,
  questions: readonly Asked[],
  answer: PreparedAnswer | 'down',
  { complain, now, method }: { complain: (what: string) => void; now: number; method: string },
): void {
  const fromOrigin = seen.headers['x-step'] !== undefined && seen.headers['x-step'] === stepOf(answer)
  if (step.from === 'origin' && answer !== 'down' && !fromOrigin)
    complain(`the answer is not the origin's (${seen.status})`)
  if (step.from === 'cache' && fromOrigin) complain(`the answer is the origin's (${seen.status})`)
  if (step.from === 'origin' && answer !== 'down' && questions.length === 0) complain('the origin was not asked')
  if (step.status !== undefined && seen.status !== step.status)
    complain(`the status is ${seen.status}, not ${step.status}`)
  if ('bodyIs' in step) {
    if (step.bodyIs !== undefined && seen.body !== step.bodyIs) complain(`the body is ${seen.body}, not ${step.bodyIs}`)
  } else if (fromOrigin && answer !== 'down' && method !== 'HEAD' && seen.body !== answer.body)
    complain(`the body is ${seen.body}`)
  for (const [name, want] of Object.entries(step.sees ?? {})) {
    if (!fits(seen.headers[name], want, now)) complain(`${name} is ${seen.headers[name]}`)
  }
  for (const [name, want] of Object.entries(step.asks ?? {})) {
    const [question] = questions
    if (!question) complain('the origin was not asked')
    else if (!fits(question.headers[name], want, now))
      complain(`the origin was asked with ${name}: ${question.headers[name]}`)
  }
}

const stepOf = (answer: PreparedAnswer | 'down') =>
  answer === 'down' ? undefined : answer.headers.find(([name]) => name === 'x-step')?.[1]

function fits(got: string | undefined, want: HeaderValue, now: number): boolean {
  if (want === null) return got === undefined
  if (want instanceof RegExp) return got !== undefined && want.test(got)
  return got === (typeof want === 'function' ? want(now) : want)
}

function prepared(answer: OriginAnswer, step: number, path: string, now: number): PreparedAnswer {
  const { status = 200, headers, body = status === 304 ? '' : `step ${step + 1}`, claimedLength } = answer
  const own = headersOf(headers, path, now)
  // Of a 304 it would become the stored answer's.
  if (status !== 304) own.push(['x-step', String(step + 1)])
  if (claimedLength !== undefined) own.push(['content-length', String(claimedLength)])
  return { status, headers: own, body }
}

const headersOf = (headers: CaseHeaders | undefined, path: string, now: number): [string, string][] =>
  Object.entries(headers ?? {}).map(([name, value]) => [
    name,
    (typeof value === 'function' ? value(now) : value).replaceAll('{path}', path),
  ])
