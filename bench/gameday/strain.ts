/** Rows F13, F18 and F19: more than a gateway can do, clients that hold on to it, and answers that are poison. */
import { atLeast, atMost, atMostMs, type Bar, told } from '../bars.ts'
import { residentMib } from '../proc.ts'
import { type SlowClients, startSlowClients } from '../slow-clients.ts'
import { added, answered, type Drill, isWhole, percentOf, ratesOf, rowOf, warmUp } from './drill.ts'
import { between, isSuccess, type Kind, ofKind, othersOf, p99, recoverySeconds, type Sent, startLoad } from './load.ts'
import { poisonNames, streamed } from './poison.ts'
import type { Day, GamedayRow } from './row.ts'
import { bodyOf, chats, inSetting, reads, streams } from './setting.ts'

const overloadTimes = 3
const longStream = 200
const most = { residentMib: 800, live: 250 }

async function overload(say: (line: string) => void, day: Day): Promise<Bar[]> {
  const { good, fault, after } = day.phases
  return inSetting({ size: 1, provider: { streamTokens: longStream, tokenMs: 0 } }, async (setting) => {
    const usual = (await ratesOf(day, 0.5, 1)).streams
    const capacity = 2 * usual
    const [pod] = setting.pods
    const history: Sent[] = [...(await warmUp(setting.urls, [streams(usual)], day))]
    const phase = async (name: string, perSecond: number, seconds: number) => {
      say(`F13: ${name}, ${perSecond.toFixed(0)} streams of ${longStream} tokens a second for ${seconds} s`)
      const load = await startLoad(setting.urls(), [streams(perSecond)], seconds, { connections: 4_000 })
      const sent = await load.done
      history.push(...load.history)
      return sent
    }
    const live = await startLoad(setting.urls(), [reads('live', '/livez', 10)], 600, { keepAlive: false })
    const normal = await phase('half of what it can do', usual, good)
    const flood = await phase('three times that', overloadTimes * capacity, fault)
    const floodMib = await residentMib(pod!.pid)
    const again = await phase('half again', usual, after)
    const probes = await live.stop()
    // In whole answers a second, of the time in which the flood was sent.
    const goodput = flood.filter((one) => one.whole && one.at + one.ms <= fault * 1_000).length / fault
    return [
      atLeast(
        'success: a right answer or the documented refusal',
        100,
        percentOf([...normal, ...flood, ...again], isSuccess),
        ' %',
      ),
      { ...atLeast('answered in the flood, of capacity', 90, (100 * goodput) / capacity, ' %'), timed: true },
      atMostMs('p99 of those accepted, three times that of half the load', 3 * p99(normal), p99(flood.filter(isWhole))),
      atLeast('live probes answered', 100, percentOf(probes, isWhole), ' %'),
      atMostMs('slowest live probe', most.live, Math.max(...probes.map(({ ms }) => ms))),
      { ...atMost('resident memory in the flood', most.residentMib, floodMib, ' MiB'), timed: true },
      {
        ...atMost(
          'as before again after',
          10,
          recoverySeconds(again, 0, (second) => second.every(isWhole)),
          ' s',
        ),
        timed: true,
      },
      ...(await setting.ledgerBars(history)),
      told('requests', `${flood.length} in the flood, others: ${othersOf(flood)}`),
    ]
  })
}

/** Of each of the three kinds. */
const slowCount = { full: 167, fast: 20 }
const slowClients = new WeakMap<object, SlowClients>()

const slowloris: Drill = {
  id: 'F18',
  title: 'clients that are slow on purpose hold 500 connections',
  ...{ size: 1, load: 0.5 },
  kinds: (rates) => [chats(rates.chats * 0.9), streams(rates.streams * 0.1)],
  async begin({ setting, day }) {
    const each = slowCount[day.name]
    const count = { headers: each, body: each, reading: each }
    const slow = await startSlowClients({ url: setting.urls()[0]!, count, comeAgain: true })
    setting.onClose(() => slow.stop())
    slowClients.set(setting, slow)
  },
  async end({ setting, notes }) {
    const slow = slowClients.get(setting)!
    notes.cut = [(await slow.told()).headers.cut]
    await slow.stop()
  },
  bars: ({ during, good, notes, day }) => [
    answered(100, during, 'good clients answered'),
    atMostMs('p99, twice that of before', 2 * p99(good), p99(during)),
    {
      ...atLeast('cut, of those slow with their headers', slowCount[day.name], notes.cut?.[0] ?? 0),
      timed: true,
    },
  ],
}

const poisonous: Drill = {
  id: 'F19',
  title: 'a provider poisons one answer in a hundred in each of eighteen ways',
  ...{ size: 1, load: 0.5, env: { REQUEST_TIMEOUT: '8s', HEADERS_TIMEOUT: '4s' }, recovery: 10 },
  kinds: (rates) => [chats(rates.chats * 0.8, 'solo'), ...poisonNames.map((name) => poisoned(name, rates.chats / 100))],
  begin: ({ setting }) => setting.provider.set('a', { kind: 'poisonous' }),
  end: ({ setting }) => setting.provider.set('a', { kind: 'well' }),
  isSuccess: (one) => (one.kind === 'chat' ? one.whole : isSuccess(one) || told502(one)),
  async before({ setting, notes }) {
    notes.before = [await residentMib(setting.pods[0]!.pid)]
  },
  async bars({ setting, during, good, from, to, notes }) {
    const bad = between(during, from + 500, to - 500).filter(({ kind }) => kind !== 'chat')
    return [
      answered(100, ofKind(during, 'chat'), 'answered, of what is not poisoned'),
      // Tried again after the fault, any of them may be answered well.
      atMost(
        'poison that looked like a whole answer',
        0,
        bad.filter((one) => one.whole && one.at + one.ms < to).length,
      ),
      atMost('poison that ended without a word', 0, bad.filter(({ silentlyCut }) => silentlyCut).length),
      added(Math.max(5, 0.1 * p99(ofKind(good, 'chat'))), ofKind(during, 'chat'), ofKind(good, 'chat')),
      told(
        'memory before, after',
        `${notes.before?.[0]?.toFixed(0)}, ${(await residentMib(setting.pods[0]!.pid)).toFixed(0)} MiB`,
      ),
      told('poisoned', `${bad.length}: ${othersOf(bad)}`),
    ]
  },
}

/** 502 and 504 are what a caller is told of nonsense; a stream that has begun ends with an error event. */
const told502 = ({ status, whole, silentlyCut }: Sent) =>
  status === 502 || status === 504 || (status === 200 && !whole && !silentlyCut)

const poisoned = (name: (typeof poisonNames)[number], perSecond: number): Kind => ({
  ...(streamed(name) ? streams(perSecond) : chats(perSecond)),
  name,
  body: (number) => bodyOf('solo', number, { stream: streamed(name), poison: name }),
})

export const strainRows: GamedayRow[] = [
  { id: 'F13', title: 'three times what a gateway can do', run: overload },
  rowOf(slowloris),
  rowOf(poisonous),
]
