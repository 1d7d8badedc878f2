/** The usual shape of a row: load at fixed times through three phases, a fault in the second, and then the bars. */
import { setTimeout as sleep } from 'node:timers/promises'
import { atLeast, atMost, atMostMs, type Bar, told } from '../bars.ts'
import { successAtLeast } from './confidence.ts'
import {
  between,
  isSuccess,
  type Kind,
  type Load,
  type LoadOptions,
  ofKind,
  othersOf,
  p99,
  p99Of,
  recoverySeconds,
  type Sent,
  shareOf,
  startLoad,
} from './load.ts'
import { type Call, type Records, wallNow } from './provider.ts'
import type { Day, GamedayRow } from './row.ts'
import { inSetting, type Setting, type SettingOptions } from './setting.ts'

/** Answers a second, by what one core can do and the row's share of it. */
export interface Rates {
  chats: number
  /** Of about 40 tokens that come one by one, or of 200 that come at once. */
  streams: number
}

export interface Drill extends SettingOptions {
  id: string
  title: string
  /** Share of what one core can do: L is 0.5, H is 0.9. */
  load: 0.5 | 0.9
  /** Requests that the row must have at least in a full run; the first phase is as long as that takes. */
  least?: number
  loadOptions?: LoadOptions
  kinds(rates: Rates): Kind[]
  /** Where the load goes. @default each gateway in turn */
  urls?: (setting: Setting) => readonly string[]
  before?(scene: Scene): Promise<unknown>
  begin(scene: Scene): Promise<unknown>
  end(scene: Scene): Promise<unknown>
  bars(seen: Seen): Bar[] | Promise<Bar[]>
  /** Per cent of the whole run; a fast one has few requests, of which one is much. @default 100 */
  success?: number | Record<Day['name'], number>
  /** What that is. @default a right answer or a documented refusal */
  isSuccess?: (sent: Sent) => boolean
  /** Seconds that the fault lasts at least, in a fast run, too. */
  faultSeconds?: number
  /** Whole seconds after the fault. @default 5 */
  recovery?: number
  /** Whole answers are what is counted, or only right ones and documented refusals. @default whole */
  recovered?: (sent: Sent) => boolean
}

/** What a fault may need. */
export interface Scene {
  setting: Setting
  load: Load
  day: Day
  say(line: string): void
  /** What a row keeps for its bars. */
  notes: Record<string, number[]>
}

export interface Seen extends Scene {
  sent: readonly Sent[]
  good: readonly Sent[]
  during: readonly Sent[]
  after: readonly Sent[]
  records: Records
  /** The fault's calls at the providers, by their arrival. */
  callsDuring: readonly Call[]
  /** Of the fault, in ms since the load began, and of the same in `wallNow`. */
  from: number
  to: number
  wallFrom: number
}

export const fastRates: Rates = { chats: 30, streams: 15 }
const warmUpSeconds = 10
/**
 * Streams of about 40 tokens that come one by one are offered as many as one of 200 that come at once: those are gathered,
 * and cost about as much (`npm run overload`: 200 that come one by one cost nearly four times as much as at once).
 */
export async function ratesOf(day: Day, share: number, size: number): Promise<Rates> {
  if (day.name === 'fast') return fastRates
  const { chats, streams } = await day.capacity(size)
  return { chats: share * chats, streams: share * streams }
}

/** The same load for a while, so that code is compiled and pools are full. A fast run is too short to be judged by time. */
export async function warmUp(
  urls: () => readonly string[],
  kinds: readonly Kind[],
  day: Day,
  options?: LoadOptions,
): Promise<readonly Sent[]> {
  if (day.name === 'fast') return []
  const load = await startLoad(urls, kinds, warmUpSeconds, options)
  await load.done
  return load.history
}

export const rowOf = (drill: Drill): GamedayRow => ({
  id: drill.id,
  title: drill.title,
  run: (say, day) => run(drill, say, day),
})

async function run(drill: Drill, say: (line: string) => void, day: Day): Promise<Bar[]> {
  const { least = 0, faultSeconds = 0, loadOptions, urls = (setting) => setting.urls() } = drill
  const kinds = drill.kinds(await ratesOf(day, drill.load, drill.size))
  const perSecond = kinds.reduce((sum, kind) => sum + kind.perSecond, 0)
  const { after } = day.phases
  const fault = Math.max(day.phases.fault, faultSeconds)
  const good = Math.max(day.phases.good, day.name === 'full' ? Math.ceil(least / perSecond) - fault - after : 0)
  return inSetting(drill, async (setting) => {
    const notes: Scene['notes'] = {}
    const early = { setting, day, say, notes }
    await drill.before?.(early as Scene)
    say(`${drill.id}: ${perSecond.toFixed(0)} requests/s for ${(good + fault + after).toFixed(0)} s; warming up`)
    const history = await warmUp(() => urls(setting), kinds, day, loadOptions)
    say(`${drill.id}: all is well`)
    const load = await startLoad(() => urls(setting), kinds, good + fault + after, loadOptions)
    const scene: Scene = { ...early, load }
    await sleep(good * 1_000 - load.now())
    say(`${drill.id}: ${drill.title}`)
    const [from, wallFrom] = [load.now(), wallNow()]
    await drill.begin(scene)
    await sleep(Math.max(0, from + fault * 1_000 - load.now()))
    await drill.end(scene)
    const to = load.now()
    say(`${drill.id}: the fault is over`)
    const sent = await load.done
    const records = await setting.provider.records()
    const wallTo = wallFrom + to - from
    const seen: Seen = {
      ...scene,
      ...{ sent, records, from, to, wallFrom },
      good: between(sent, 0, from),
      during: between(sent, from, to),
      after: between(sent, to, Infinity),
      callsDuring: records.calls.filter(({ at, upstream }) => upstream !== 'direct' && at >= wallFrom && at < wallTo),
    }
    const ledger = await setting.ledgerBars([...history, ...load.history])
    return [...commonBars(drill, day, seen), ...(await drill.bars(seen)), ...ledger, ...tellings(seen)]
  })
}

function commonBars(drill: Drill, day: Day, { sent, to }: Seen) {
  const { success = 100, recovery = 5, recovered = ({ whole }) => whole, least } = drill
  const right = drill.isSuccess ?? isSuccess
  const failures = sent.filter((one) => !right(one)).length
  const paid = sent.filter(({ leftAt }) => leftAt === undefined)
  const bars = [
    atLeast(
      'success: a right answer or the documented refusal',
      typeof success === 'number' ? success : success[day.name],
      percentOf(sent, right),
      ' %',
    ),
    {
      ...atMost(
        'all is answered again after',
        recovery,
        recoverySeconds(paid, to, (all) => all.every(recovered)),
        ' s',
      ),
      timed: true,
    },
  ]
  if (least === undefined || day.name === 'fast') return bars
  const bound = 100 * successAtLeast(sent.length, failures)
  const rate = (100 * (sent.length - failures)) / sent.length
  const proof = { ...atLeast('success, with 95 % confidence', 99.99, bound, ' %'), got: `${bound.toFixed(4)} %` }
  return [
    ...bars,
    atLeast('requests', least, sent.length),
    {
      ...proof,
      name: `success, with 95 % confidence; seen ${rate.toFixed(4)} %, ${failures} failures of ${sent.length}`,
    },
  ]
}

/** Told beside the bars of a row. */
function tellings({ sent, good, during, after, from, to }: Seen): Bar[] {
  const base = p99(small(good))
  const well = (second: readonly Sent[]) =>
    second.every(({ whole, leftAt }) => whole || leftAt !== undefined) && p99(small(second)) <= base + 25
  const again = recoverySeconds(after, to, well)
  const whole = sent.filter((one) => one.whole).length
  return [
    told('requests', `${sent.length} sent, ${whole} whole, others: ${othersOf(sent)}`),
    told(
      'p99 good / fault / after',
      [good, during, after].map((part) => `${p99(small(part)).toFixed(1)} ms`).join(' / '),
    ),
    told('p99 in each second of the fault', `${bySecond(small(during), from).join(' ')} ms`),
    told('as fast as before, by 25 ms, after', again === Infinity ? 'not within the run' : `${again} s`),
    told('generator late by', `p99 ${p99Of(sent.map(({ lagMs }) => lagMs)).toFixed(1)} ms`),
  ]
}

const bySecond = (sent: readonly Sent[], from: number) =>
  Object.values(Object.groupBy(sent, ({ at }) => Math.floor((at - from) / 1_000))).map((all) => p99(all!).toFixed(0))

export const percentOf = (sent: readonly Sent[], holds: (sent: Sent) => boolean) => 100 * shareOf(sent, holds)
export const isWhole = ({ whole }: Sent) => whole
/** A machine that is too slow for the load refuses some of it, as it may. */
export const answered = (limit: number, sent: readonly Sent[], name = 'answered during the fault'): Bar => ({
  ...atLeast(name, limit, percentOf(sent, isWhole), ' %'),
  timed: true,
})
/** Of small completions where there are any: a stream takes as long as it is. */
export const added = (limit: number, during: readonly Sent[], good: readonly Sent[], name = 'added p99') =>
  atMostMs(name, limit, p99(small(during)) - p99(small(good)))

function small(sent: readonly Sent[]): readonly Sent[] {
  const chats = ofKind(sent, 'chat')
  return chats.length > 0 ? chats : sent
}
