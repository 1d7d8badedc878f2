/** The sixteen faults: what the first provider does, who stands by, and what the gateway must do about it. */
import type { Conduct, StreamFault } from './faulty-provider.ts'
import {
  advisory,
  burst,
  type Check,
  cleanBodies,
  hungUp,
  ownError,
  type Run,
  required,
  triesAt,
  waited,
  wholeAnswer,
  within,
} from './judge.ts'
import type { Profile } from './profile.ts'

export interface Fault {
  id: string
  title: string
  /** Its calls wait for long: they run beside all others. */
  slow?: boolean
  variants: Variant[]
}

export interface Variant {
  /** Part of the names of its models. */
  name: string
  /** What the first provider does with the `nth` try. */
  primary(nth: number, profile: Profile): Conduct
  /** The second one does not take a trailing assistant message. */
  noPrefill?: boolean
  /** What the routing file says about the two targets. */
  target?: object
  spareTarget?: object
  /** The second one is named by the request, not by the routing file. */
  byRequest?: boolean
  /** Several callers at once must not return at once. */
  crowd?: boolean
  judge(run: Run): Check[]
}

const healthy: Conduct = { kind: 'answer' }
const always = (conduct: Conduct) => () => conduct
const once = (conduct: Conduct) => (nth: number) => (nth === 1 ? conduct : healthy)
const streams = (fault: StreamFault): Conduct => ({ kind: 'answer', fault })
const prefills = { prefill: true }

const servedBySpare = (run: Run) => [
  ...wholeAnswer(run),
  triesAt('primary', { least: 1, most: 6 }, run),
  burst(run, 4),
  triesAt('spare', { least: 1, most: 1 }, run),
]
const servedAgain = (run: Run) => [
  ...wholeAnswer(run),
  triesAt('primary', { least: 2, most: 2 }, run),
  triesAt('spare', { most: 0 }, run),
]
const rescued = (run: Run) => [
  ...wholeAnswer(run),
  triesAt('primary', { least: 1, most: 1 }, run),
  triesAt('spare', { least: 1, most: 2 }, run),
  rescuedBy(run),
]
const abandoned = (mostMs: (profile: Profile) => number) => (run: Run) => [
  ...wholeAnswer(run),
  within(run, mostMs(run.profile)),
  triesAt('primary', { least: 1, most: 1 }, run),
  hungUp(run),
]

function rescuedBy({ spare }: Run): Check {
  const prefixes = spare.map(({ body }) => {
    const last = body.messages.at(-1)
    return last?.role === 'assistant' ? `a prefill of ${last.content.split(' ').length} words` : 'a restart'
  })
  return advisory('rescued by', prefixes.length > 0, prefixes.join(', then ') || 'nobody')
}

export const faults: Fault[] = [
  {
    id: 'S01',
    title: '429 with Retry-After, once',
    variants: [
      {
        name: 'once',
        primary: (nth, { retryAfterS }) => (nth === 1 ? { kind: 'error', status: 429, retryAfterS } : healthy),
        judge: (run) => [...servedAgain(run), waited(run, 900 * run.profile.retryAfterS)],
      },
    ],
  },
  {
    id: 'S02',
    title: '429 with Retry-After, always',
    variants: [
      {
        name: 'always',
        primary: (_, { retryAfterS }) => ({ kind: 'error', status: 429, retryAfterS }),
        crowd: true,
        judge: servedBySpare,
      },
    ],
  },
  {
    id: 'S03',
    title: 'one 500',
    variants: [{ name: 'once', primary: once({ kind: 'error', status: 500 }), judge: servedAgain }],
  },
  {
    id: 'S04',
    title: '503 with Retry-After, always',
    variants: [
      {
        name: 'always',
        primary: (_, { retryAfterS }) => ({ kind: 'error', status: 503, retryAfterS }),
        crowd: true,
        judge: servedBySpare,
      },
      {
        name: 'request',
        primary: (_, { retryAfterS }) => ({ kind: 'error', status: 503, retryAfterS }),
        byRequest: true,
        judge: (run) => [...servedBySpare(run), cleanBodies(run)],
      },
    ],
  },
  {
    id: 'S05',
    title: 'one reset before the headers',
    variants: [{ name: 'once', primary: once({ kind: 'reset' }), judge: servedAgain }],
  },
  {
    id: 'S06',
    title: 'silence instead of headers',
    slow: true,
    variants: [
      {
        name: 'silence',
        primary: (_, { silenceMs }) => ({ kind: 'silent', ms: silenceMs }),
        judge: abandoned(({ maxSilentMs }) => maxSilentMs),
      },
    ],
  },
  {
    id: 'S07',
    title: 'a late first token',
    slow: true,
    variants: [
      {
        name: 'headers',
        primary: (_, { slowFirstTokenMs: ms }) => streams({ kind: 'slow_start', ms, role: false }),
        judge: abandoned(({ maxSlowStartMs }) => maxSlowStartMs),
      },
      {
        name: 'role',
        primary: (_, { slowFirstTokenMs: ms }) => streams({ kind: 'slow_start', ms, role: true }),
        judge: abandoned(({ maxSlowStartMs }) => maxSlowStartMs),
      },
    ],
  },
  {
    id: 'S08',
    title: 'cut after word 40',
    variants: [
      {
        name: 'reset',
        primary: always(streams({ kind: 'cut', afterWord: 40, how: 'reset' })),
        spareTarget: prefills,
        judge: rescued,
      },
      {
        name: 'end',
        primary: always(streams({ kind: 'cut', afterWord: 40, how: 'end' })),
        spareTarget: prefills,
        judge: rescued,
      },
      {
        name: 'request',
        primary: always(streams({ kind: 'cut', afterWord: 40, how: 'reset' })),
        spareTarget: prefills,
        byRequest: true,
        judge: (run) => [...rescued(run), cleanBodies(run)],
      },
    ],
  },
  {
    id: 'S09',
    title: 'a stall after word 20',
    slow: true,
    variants: [
      {
        name: 'stall',
        primary: (_, { stallMs: ms }) => streams({ kind: 'stall', afterWord: 20, ms }),
        spareTarget: prefills,
        judge: (run) => [...rescued(run), within(run, run.profile.maxStallMs), hungUp(run)],
      },
    ],
  },
  {
    id: 'S10',
    title: 'a malformed event before word 10',
    variants: [
      {
        name: 'malformed',
        primary: always(streams({ kind: 'malformed', beforeWord: 10 })),
        judge: (run) => [
          ...wholeAnswer(run),
          triesAt('primary', { least: 1, most: 1 }, run),
          triesAt('spare', { most: 0 }, run),
        ],
      },
    ],
  },
  {
    id: 'S11',
    title: 'no [DONE], connection kept open',
    variants: [
      {
        name: 'no-done',
        primary: (_, { silenceMs: ms }) => streams({ kind: 'no_done', ms }),
        judge: (run) => [
          ...wholeAnswer(run),
          required('finalised', run.seen.ms <= run.profile.maxNoDoneMs, within(run, run.profile.maxNoDoneMs).saw),
          triesAt('primary', { least: 1, most: 1 }, run),
          triesAt('spare', { most: 0 }, run),
        ],
      },
    ],
  },
  {
    id: 'S12',
    title: '400 context_length_exceeded',
    variants: [
      {
        name: 'larger',
        primary: always({ kind: 'error', status: 400, code: 'context_length_exceeded' }),
        target: { context_window: 8_000 },
        spareTarget: { context_window: 128_000 },
        judge: (run) => [...wholeAnswer(run), notResent(run, 1), triesAt('spare', { least: 1, most: 1 }, run)],
      },
      {
        name: 'same',
        primary: always({ kind: 'error', status: 400, code: 'context_length_exceeded' }),
        target: { context_window: 8_000 },
        spareTarget: { context_window: 8_000 },
        judge: (run) => [...ownError(400, 'context_length_exceeded', run), notResent(run, 0)],
      },
    ],
  },
  {
    id: 'S13',
    title: '400 content_policy_violation',
    variants: (['always', 'request'] as const).map((name) => ({
      name,
      primary: always({ kind: 'error', status: 400, code: 'content_policy_violation' }),
      byRequest: name === 'request',
      judge: (run: Run) => [
        ...ownError(400, 'content_policy_violation', run),
        triesAt('primary', { least: 1, most: 1 }, run),
        triesAt('spare', { most: 0 }, run),
      ],
    })),
  },
  {
    id: 'S14',
    title: 'cut after word 40, no prefill at the fallback',
    variants: [
      {
        name: 'refused',
        primary: always(streams({ kind: 'cut', afterWord: 40, how: 'reset' })),
        noPrefill: true,
        spareTarget: prefills,
        judge: rescued,
      },
      {
        name: 'known',
        primary: always(streams({ kind: 'cut', afterWord: 40, how: 'reset' })),
        noPrefill: true,
        judge: rescued,
      },
    ],
  },
  {
    id: 'S16',
    title: '503 without Retry-After, always',
    variants: [
      { name: 'always', primary: always({ kind: 'error', status: 503 }), crowd: true, judge: servedBySpare },
      {
        name: 'request',
        primary: always({ kind: 'error', status: 503 }),
        byRequest: true,
        judge: (run) => [...servedBySpare(run), cleanBodies(run)],
      },
    ],
  },
]

/** The same prompt is as long as it was. */
function notResent({ primary, spare }: Run, mostAtSpare: number): Check {
  const saw = `${primary.length} at primary, ${spare.length} at a target with ${mostAtSpare > 0 ? 'more' : 'no more'} room`
  return required('not resent', primary.length === 1 && spare.length <= mostAtSpare, saw)
}
