/** Rows F0 to F8: providers that refuse, fail, hang, are late or throttle, streams that break, callers that leave. */
import { atLeast, atMost, atMostMs, type Bar, told } from '../bars.ts'
import { added, answered, type Drill, isWhole, percentOf, ratesOf, rowOf, warmUp } from './drill.ts'
import { between, type Kind, ofKind, p99, p99Of, type Sent, startLoad } from './load.ts'
import type { Call } from './provider.ts'
import type { Day, GamedayRow } from './row.ts'
import { chats, inSetting, type Pod, reads, type Setting, streams } from './setting.ts'

const nothing = async () => {}
/** For 99.99 % with 95 % confidence, where one fails. */
const proof = 47_500
/** Of one try: by default a caller who asks for no stream waits for a silent provider as long as a request may take. */
const silence = { headers: '2s', first_token: '2s', total: '4s' }

async function noFault(say: (line: string) => void, day: Day): Promise<Bar[]> {
  return inSetting({ size: 1 }, async (setting) => {
    const bars: Bar[] = []
    const history: Sent[] = []
    for (const [name, share, limit] of [
      ['L', 0.5, 5],
      ['H', 0.9, 25],
    ] as const) {
      const rates = await ratesOf(day, share, 1)
      const seconds = day.phases.fault
      const kinds = [chats(rates.chats * 0.9), streams(rates.streams * 0.1)]
      const direct = [chats(20), streams(5)]
      history.push(...(await warmUp(() => setting.urls(), kinds, day)))
      say(`F0 ${name}: ${kinds.map(({ perSecond }) => perSecond.toFixed(0)).join(' + ')} requests/s`)
      const [through, past] = await Promise.all([
        startLoad(() => setting.urls(), kinds, seconds),
        startLoad(setting.provider.urls.direct, direct, seconds),
      ])
      const [sent, own] = await Promise.all([through.done, past.done])
      history.push(...through.history)
      const first = (all: readonly Sent[]) => p99Of(ofKind(all, 'stream').map(({ firstMs }) => firstMs))
      const perToken = (all: readonly Sent[]) =>
        p99Of(ofKind(all, 'stream').map(({ ms, firstMs, received }) => (ms - firstMs) / received))
      bars.push(
        atLeast(`${name}: answered, of ${sent.length}`, 100, percentOf(sent, isWhole), ' %'),
        atMostMs(`${name}: p99 above the provider's own`, limit, p99(ofKind(sent, 'chat')) - p99(ofKind(own, 'chat'))),
        atMostMs(`${name}: first byte of a stream, above the provider's own`, 5, first(sent) - first(own)),
        atMostMs(`${name}: a token of a stream, above the provider's own`, 1, perToken(sent) - perToken(own)),
        told(`${name}: generator late by`, `p99 ${p99Of(sent.map(({ lagMs }) => lagMs)).toFixed(1)} ms`),
      )
    }
    return [...bars, ...(await setting.ledgerBars(history))]
  })
}

/** When a circuit of `a` was first seen open at every gateway, in ms after the fault began. */
async function whenOpen({ pods, series }: Setting, now: () => number, limitMs: number): Promise<number> {
  const from = now()
  const isOpen = async (pod: Pod) => {
    const states = await series(pod, 'circuit_breaker_state')
    return [...states].some(([name, state]) => name.startsWith('a:') && state === 2)
  }
  while (now() - from < limitMs) {
    if ((await Promise.all(pods.map(isOpen))).every(Boolean)) return now() - from
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return Infinity
}

const pairs = (rates: { chats: number }): Kind[] => [chats(rates.chats)]

const refuses: Drill = {
  id: 'F1',
  title: 'one of two providers refuses connections',
  ...{ size: 3, load: 0.5, least: proof },
  kinds: pairs,
  async begin({ setting, load, notes, day }) {
    await setting.provider.set('a', { kind: 'refused' })
    notes.trip = [await whenOpen(setting, load.now, day.phases.fault * 1_000)]
  },
  end: ({ setting }) => setting.provider.set('a', { kind: 'well' }),
  bars({ during, good, notes, from, to }) {
    const trip = notes.trip?.[0] ?? Infinity
    const open = between(during, from + trip, to)
    // A refused connection leaves no record at the provider: what is told of tries is held against it in F2.
    const extra = open.reduce((sum, { tries }) => sum + Math.max(0, tries - 1), 0) / open.length
    return [
      answered(99.9, during),
      atMostMs('all circuits open after', 1_500, trip),
      added(20, open, good, 'added p99 while they are open'),
      atMost('tries at the dead one for a request while they are open', 0.15, open.length > 0 ? extra : 0),
    ]
  },
}

const fails: Drill = {
  id: 'F2',
  title: 'one of two providers answers 20 % with 503',
  ...{ size: 3, load: 0.5, least: proof },
  kinds: pairs,
  begin: ({ setting }) => setting.provider.set('a', { kind: 'errors', share: 0.2, status: 503 }),
  async end({ setting, notes }) {
    const states = await Promise.all(
      setting.pods.map((pod) => setting.series(pod, 'circuit_breaker_transitions_total')),
    )
    notes.transitions = states.map((all) =>
      [...all].filter(([name]) => name.startsWith('a:')).reduce((sum, [, count]) => sum + count, 0),
    )
    await setting.provider.set('a', { kind: 'well' })
  },
  bars({ during, good, records, notes }) {
    const tries = during.reduce((sum, one) => sum + one.tries, 0)
    const counted = countOf(records.calls, during)
    return [
      answered(99.5, during),
      added(400, during, good),
      atMost('changes of the circuit', 0, Math.max(...(notes.transitions ?? [Infinity]))),
      atMost('further calls, of the requests', 25, 100 * (counted / during.length - 1), ' %'),
      atMost('tries told, less those in the provider’s record', 0, Math.abs(tries - counted)),
    ]
  },
}

/** Calls at the providers of these requests, whenever they came. */
function countOf(calls: readonly Call[], sent: readonly Sent[]): number {
  const numbers = new Set(sent.map(({ number }) => number))
  return calls.filter(({ number }) => numbers.has(number)).length
}

const hangs: Drill = {
  id: 'F3',
  title: 'one of two providers takes calls and says nothing',
  ...{ size: 3, load: 0.5, timeouts: silence },
  kinds: ({ chats: chatRate, streams: streamRate }) => [chats(chatRate * 0.5), streams(streamRate * 0.5)],
  async begin({ setting, load, notes, day }) {
    await setting.provider.set('a', { kind: 'hangs' })
    notes.trip = [await whenOpen(setting, load.now, day.phases.fault * 1_000)]
  },
  end: ({ setting }) => setting.provider.set('a', { kind: 'well' }),
  recovery: 10,
  async bars({ setting, during, good, notes, from, to, records }) {
    const trip = notes.trip?.[0] ?? Infinity
    const left = await Promise.all(setting.pods.map((pod) => setting.metric(pod, 'streams_in_flight')))
    const silent = records.calls.filter(({ upstream, status }) => upstream === 'a' && status === 0)
    return [
      answered(99, during),
      told('all circuits open after', `${(trip / 1_000).toFixed(1)} s`),
      ...(trip < to - from ? [added(20, between(during, from + trip, to), good, 'added p99 while they are open')] : []),
      atMost(
        'calls without an answer that are still open',
        0,
        silent.filter(({ endedAt }) => endedAt === undefined).length,
      ),
      atMost(
        'streams still in flight',
        0,
        left.reduce<number>((sum, each) => sum + (each ?? 0), 0),
      ),
      told('calls that got no answer', String(silent.length)),
    ]
  },
}

const allDown: Drill = {
  id: 'F4',
  title: 'all providers refuse connections',
  ...{ size: 3, load: 0.9, recovery: 10 },
  kinds: pairs,
  begin: ({ setting }) =>
    Promise.all([setting.provider.set('a', { kind: 'refused' }), setting.provider.set('b', { kind: 'refused' })]),
  end: ({ setting }) =>
    Promise.all([setting.provider.set('a', { kind: 'well' }), setting.provider.set('b', { kind: 'well' })]),
  bars({ during, from, to }) {
    // What was on its way when the providers went, or came back, may have been answered.
    const within = between(during, from + 250, to - 250)
    const refused = within.filter(({ status }) => status === 503)
    return [
      atMost('answered while nobody can', 0, within.filter(isWhole).length),
      atLeast(
        'refused with 503 and Retry-After',
        100,
        percentOf(within, ({ status, retryAfter }) => status === 503 && Number(retryAfter) > 0),
        ' %',
      ),
      atMostMs('p99 of a refusal', 15, p99(between(refused, from + 3_000, to))),
    ]
  },
}

const late: Drill = {
  id: 'F5',
  title: 'a provider is 2 s late with 3 % of its answers',
  ...{ size: 1, load: 0.5 },
  kinds: ({ chats: chatRate }) => [chats(chatRate, 'solo'), reads('models', '/v1/models', 20)],
  begin: ({ setting }) => setting.provider.set('a', { kind: 'late', share: 0.03, ms: 2_000 }),
  end: ({ setting }) => setting.provider.set('a', { kind: 'well' }),
  bars({ during, callsDuring, sent }) {
    const models = ofKind(during, 'models')
    const inference = ofKind(sent, 'chat')
    return [
      answered(100, during),
      atMostMs('p99 of /v1/models', 300, p99(models)),
      atMostMs('p99 of a completion', 2_100, p99(ofKind(during, 'chat'))),
      atMost(
        'second calls for a completion',
        0,
        countOf(callsDuring, inference) - new Set(callsDuring.map(({ number }) => number)).size,
      ),
    ]
  },
}

const throttled: Drill = {
  id: 'F6',
  title: 'one of two providers answers 429 with Retry-After: 5',
  ...{ size: 3, load: 0.9 },
  kinds: pairs,
  begin: ({ setting }) => setting.provider.set('a', { kind: 'errors', share: 1, status: 429, retryAfterS: 5 }),
  end: ({ setting }) => setting.provider.set('a', { kind: 'well' }),
  bars({ during, good, callsDuring }) {
    const refusals = callsDuring.filter(({ upstream, status }) => upstream === 'a' && status === 429)
    return [
      answered(99, during),
      added(100, during, good),
      atMost('calls before their time', 0, earlyCalls(refusals)),
      told('calls that were told to wait', String(refusals.length)),
    ]
  },
}

const hintMs = 5_000
/** What was under way, or waited to be taken by a provider on a busy core, when the first hint was on its way. */
const underWayMs = 500

/** Of each gateway: calls that came after a 429 was known and before the wait that it asked for was over. */
export function earlyCalls(refusals: readonly { at: number; pod: string }[]): number {
  let early = 0
  for (const own of Map.groupBy(refusals, ({ pod }) => pod).values()) {
    let toldAt = -Infinity
    for (const { at } of own.toSorted((a, b) => a.at - b.at)) {
      if (at >= toldAt + hintMs) toldAt = at
      else if (at > toldAt + underWayMs) early++
    }
  }
  return early
}

const resets: Drill = {
  id: 'F7',
  title: 'one of two providers breaks 5 % of its streams with an RST',
  ...{ size: 3, load: 0.5 },
  kinds: ({ streams: streamRate }) => [
    { ...streams(streamRate * 0.7), name: 'with a second' },
    { ...streams(streamRate * 0.3, 'solo'), name: 'alone' },
  ],
  begin: ({ setting }) => setting.provider.set('a', { kind: 'resets', share: 0.05 }),
  end: ({ setting }) => setting.provider.set('a', { kind: 'well' }),
  // A stream that nobody can go on with ends with an error event, as the docs say.
  success: 95,
  bars: ({ during, sent }) => [
    answered(99.9, ofKind(during, 'with a second'), 'whole, with a second target'),
    // One in twenty breaks, by chance: less than one in ten of some hundred does.
    answered(90, ofKind(during, 'alone'), 'whole, without one'),
    told(
      'whole, without a second target',
      `${percentOf(ofKind(during, 'alone'), isWhole).toFixed(2)} %; 95 % are not broken`,
    ),
    atMost('cut without a word', 0, sent.filter(({ silentlyCut }) => silentlyCut).length),
  ],
}

/** After how many of its 30 to 49 pieces one in five hangs up. */
const leaves = (nth: number) => (nth % 5 === 0 ? 3 + (nth % 17) : undefined)

const callersLeave: Drill = {
  id: 'F8',
  title: 'one in five callers leaves in the middle of a stream',
  ...{ size: 3, load: 0.9 },
  kinds: ({ chats: chatRate, streams: streamRate }) => [
    chats(chatRate * 0.5),
    { ...streams(streamRate * 0.4), name: 'stays' },
    { ...streams(streamRate * 0.1), name: 'leaves', leavesAfter: (nth) => leaves(nth * 5) ?? 3 },
  ],
  begin: nothing,
  end: nothing,
  bars({ sent, records, setting }) {
    const left = ofKind(sent, 'leaves').filter(({ leftAt }) => leftAt !== undefined)
    const closed = closedAfter(left, records.calls)
    const p99Closed = p99Of(closed)
    return [
      answered(100, ofKind(sent, 'chat', 'stays'), 'those who stay, answered'),
      atMostMs('p99 from leaving until the provider’s side is closed', 100, p99Closed),
      atMost('calls of those who left that are still open', 0, left.length - closed.length),
      told('left', `${left.length} of ${ofKind(sent, 'leaves').length}, at ${setting.pods.length} gateways`),
    ]
  },
}

/** In ms, of the last call of each. A caller who left when all was said has nothing left to close. */
function closedAfter(left: readonly Sent[], calls: readonly Call[]): number[] {
  const endedAt = new Map(calls.map(({ number, endedAt }) => [number, endedAt]))
  return left.flatMap(({ number, leftAt }) => {
    const at = endedAt.get(number ?? -1)
    return at === undefined ? [] : [Math.max(0, at - (leftAt ?? at))]
  })
}

export const providerRows: GamedayRow[] = [
  { id: 'F0', title: 'no fault', run: noFault },
  ...[refuses, fails, hangs, allDown, late, throttled, resets, callersLeave].map(rowOf),
]
