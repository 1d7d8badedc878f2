/** F9: Redis killed, stalled, cut off, full and read-only, under load on three gateways. */
import { setTimeout as sleep } from 'node:timers/promises'
import { atLeast } from '../bars.ts'
import { successAtLeast } from './confidence.ts'
import { ratesOf, warmUp } from './drill.ts'
import { between, isSuccess, type Kind, ofKind, othersOf, p99, type Sent, shareOf, startLoad } from './load.ts'
import type { Bar, Day, GamedayRow } from './row.ts'
import { chats, inSetting, type Setting } from './setting.ts'

const limitPerMinute = 300
const limitedPerSecond = 20
const recoveryMs = 5_000
/** For 99.99 % with 95 % confidence, where one fails. */
const least = 47_500
/** It is stopped before. */
const mostSeconds = 400

interface Fault {
  name: string
  lastsMs: number
  begin(setting: Setting): Promise<unknown>
  end(setting: Setting): Promise<unknown>
}

const faults: Fault[] = [
  {
    name: 'killed',
    lastsMs: 8_000,
    begin: ({ redis }) => redis.signal('SIGKILL'),
    end: ({ redis }) => redis.restart(),
  },
  {
    name: 'stalled',
    lastsMs: 3_000,
    begin: ({ redis }) => redis.signal('SIGSTOP'),
    end: ({ redis }) => redis.signal('SIGCONT'),
  },
  {
    name: 'unreachable',
    lastsMs: 5_000,
    begin: ({ links }) => links.redis.set('silent'),
    end: ({ links }) => links.redis.set('well'),
  },
  {
    name: 'full',
    lastsMs: 5_000,
    begin: ({ redis }) => redis.admin.config('SET', 'maxmemory', '1'),
    end: ({ redis }) => redis.admin.config('SET', 'maxmemory', '0'),
  },
  {
    name: 'read-only',
    lastsMs: 5_000,
    begin: ({ redis }) => redis.admin.call('REPLICAOF', '127.0.0.1', '1'),
    end: ({ redis }) => redis.admin.call('REPLICAOF', 'NO', 'ONE'),
  },
]

interface Window {
  name: string
  fromMs: number
  toMs: number
  backMs: number
}

async function run(say: (line: string) => void, day: Day): Promise<Bar[]> {
  const { chats: perSecond } = await ratesOf(day, 0.5, 3)
  const goodMs = day.phases.good * 1_000
  const lasts = ({ lastsMs }: Fault) => (day.name === 'fast' ? lastsMs / 4 : lastsMs)
  return inSetting({ size: 3 }, async (setting) => {
    const limitedKey = await setting.limitedKey(limitPerMinute)
    const kinds: Kind[] = [
      chats(perSecond),
      { name: 'limited', perSecond: limitedPerSecond, method: 'GET', path: '/v1/models', key: () => limitedKey },
    ]
    const history = await warmUp(() => setting.urls(), kinds.slice(0, 1), day)
    const load = await startLoad(() => setting.urls(), kinds, mostSeconds)
    const windows: Window[] = []
    await sleep(goodMs)
    const calm = { fromMs: 0, toMs: load.now() }
    for (const fault of faults) {
      say(`F9: Redis ${fault.name} for ${lasts(fault) / 1000} s`)
      const fromMs = load.now()
      await fault.begin(setting)
      await sleep(lasts(fault) - (load.now() - fromMs))
      await fault.end(setting)
      const toMs = load.now()
      const backMs = await untilUp(setting)
      windows.push({ name: fault.name, fromMs, toMs, backMs })
      await sleep(goodMs)
    }
    if (day.name === 'full') await sleep(Math.max(0, (1_000 * least) / perSecond - load.now()))
    const all = await load.stop()
    const [sent, ofLimited] = [ofKind(all, 'chat'), ofKind(all, 'limited')]
    const base = p99(between(sent, calm.fromMs, calm.toMs))
    return [
      ...windows.flatMap((window) => barsOf(window, sent, base)),
      ...barsOfAll(sent, ofLimited, base, day),
      ...(await setting.ledgerBars([...history, ...load.history])),
    ]
  })
}

function barsOf({ name, fromMs, toMs, backMs }: Window, sent: readonly Sent[], base: number): Bar[] {
  const firstSecond = p99(between(sent, fromMs, fromMs + 1_000)) - base
  const later = p99(between(sent, fromMs + 1_000, toMs)) - base
  return [
    timed(
      bar(`${name}: added p99 in its first second`, '<= 110 ms', `${firstSecond.toFixed(1)} ms`, firstSecond <= 110),
    ),
    timed(bar(`${name}: added p99 after that`, '<= 5 ms', `${later.toFixed(1)} ms`, later <= 5)),
    timed(bar(`${name}: in use again after`, '<= 5 s', `${(backMs / 1000).toFixed(1)} s`, backMs <= recoveryMs)),
  ]
}

function barsOfAll(sent: readonly Sent[], ofLimited: readonly Sent[], base: number, day: Day): Bar[] {
  const success = shareOf(sent, isSuccess)
  const answered = shareOf(sent, isWhole)
  const minutes = Math.max(...ofLimited.map(({ at }) => at)) / 60_000
  const admitted = ofLimited.filter(isWhole).length
  const allowed = limitPerMinute * (1 + minutes)
  return [
    ...(day.name === 'full' ? proofOf(sent) : []),
    bar(
      'requests, and p99 without a fault',
      '',
      `${sent.length} sent, ${base.toFixed(1)} ms; not whole: ${othersOf(sent)}`,
      true,
    ),
    bar('success', '100 %', `${(100 * success).toFixed(3)} %`, success === 1),
    bar('answered', '>= 99.9 %', `${(100 * answered).toFixed(3)} %`, answered >= 0.999),
    bar(
      'limited key: admitted, of what one limit allows',
      '<= 2',
      (admitted / allowed).toFixed(2),
      admitted <= 2 * allowed,
    ),
    bar(
      'limited key: success',
      '100 %',
      `${(100 * shareOf(ofLimited, isSuccess)).toFixed(3)} %`,
      shareOf(ofLimited, isSuccess) === 1,
    ),
  ]
}

async function untilUp({ pods, metric }: Setting): Promise<number> {
  const from = performance.now()
  for (const pod of pods) {
    while ((await metric(pod, 'redis_up')) !== 1 && performance.now() - from < 4 * recoveryMs) await sleep(50)
  }
  return performance.now() - from
}

function proofOf(sent: readonly Sent[]): Bar[] {
  const failures = sent.filter((one) => !isSuccess(one)).length
  const bound = 100 * successAtLeast(sent.length, failures)
  return [
    atLeast('requests', least, sent.length),
    {
      ...atLeast(`success, with 95 % confidence; ${failures} failures of ${sent.length}`, 99.99, bound, ' %'),
      got: `${bound.toFixed(4)} %`,
    },
  ]
}

const isWhole = ({ whole }: Sent) => whole
const bar = (name: string, want: string, got: string, met: boolean): Bar => ({ name, want, got, met })
const timed = (one: Bar): Bar => ({ ...one, timed: true })

export const redisRows: GamedayRow[] = [{ id: 'F9', title: 'Redis killed, stalled, full, read-only', run }]
