/** F9: Redis killed, stalled, full and read-only, under load on three gateways. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { chatRequest } from '../answers.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { between, isSuccess, type Kind, ofKind, p99, type Sent, shareOf, startLoad } from './load.ts'
import type { Bar, GamedayRow } from './row.ts'

const perSecond = 150
const limitPerMinute = 300
const limitedPerSecond = 20
const goodMs = 10_000
const recoveryMs = 5_000
/** It is stopped before. */
const mostSeconds = 180

interface Fault {
  name: string
  lastsMs: number
  begin(fleet: Fleet): Promise<unknown>
  end(fleet: Fleet): Promise<unknown>
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

async function run(say: (line: string) => void): Promise<Bar[]> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-gameday-'))
  const fleet = await startFleet({ folder, size: 3 })
  try {
    const limitedKey = await fleet.limitedKey(limitPerMinute)
    const kinds: Kind[] = [
      { name: 'chat', perSecond, method: 'POST', path: '/v1/chat/completions', body: chatRequest },
      { name: 'limited', perSecond: limitedPerSecond, method: 'GET', path: '/v1/models', key: () => limitedKey },
    ]
    const load = await startLoad(fleet.urls, kinds, mostSeconds)
    const windows: Window[] = []
    await sleep(goodMs)
    const calm = { fromMs: 0, toMs: load.now() }
    for (const fault of faults) {
      say(`F9: Redis ${fault.name} for ${fault.lastsMs / 1000} s`)
      const fromMs = load.now()
      await fault.begin(fleet)
      await sleep(fault.lastsMs - (load.now() - fromMs))
      await fault.end(fleet)
      const toMs = load.now()
      const backMs = await untilUp(fleet)
      windows.push({ name: fault.name, fromMs, toMs, backMs })
      await sleep(goodMs)
    }
    const all = await load.stop()
    const [sent, ofLimited] = [ofKind(all, 'chat'), ofKind(all, 'limited')]
    const base = p99(between(sent, calm.fromMs, calm.toMs))
    return [...windows.flatMap((window) => barsOf(window, sent, base)), ...barsOfAll(sent, ofLimited, base)]
  } finally {
    await fleet.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function barsOf({ name, fromMs, toMs, backMs }: Window, sent: readonly Sent[], base: number): Bar[] {
  const firstSecond = p99(between(sent, fromMs, fromMs + 1_000)) - base
  const later = p99(between(sent, fromMs + 1_000, toMs)) - base
  return [
    bar(`${name}: added p99 in its first second`, '<= 110 ms', `${firstSecond.toFixed(1)} ms`, firstSecond <= 110),
    bar(`${name}: added p99 after that`, '<= 5 ms', `${later.toFixed(1)} ms`, later <= 5),
    bar(`${name}: in use again after`, '<= 5 s', `${(backMs / 1000).toFixed(1)} s`, backMs <= recoveryMs),
  ]
}

function barsOfAll(sent: readonly Sent[], ofLimited: readonly Sent[], base: number): Bar[] {
  const success = shareOf(sent, isSuccess)
  const answered = shareOf(sent, isWhole)
  const minutes = Math.max(...ofLimited.map(({ at }) => at)) / 60_000
  const admitted = ofLimited.filter(isWhole).length
  const allowed = limitPerMinute * (1 + minutes)
  return [
    bar('requests, and p99 without a fault', '', `${sent.length} sent, ${base.toFixed(1)} ms`, true),
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

async function untilUp(fleet: Fleet): Promise<number> {
  const from = performance.now()
  for (const gateway of fleet.gateways) {
    while ((await fleet.metric(gateway, 'redis_up')) !== 1 && performance.now() - from < 4 * recoveryMs) await sleep(50)
  }
  return performance.now() - from
}

const isWhole = ({ whole }: Sent) => whole
const bar = (name: string, want: string, got: string, met: boolean): Bar => ({ name, want, got, met })

export const redisRows: GamedayRow[] = [{ id: 'F9', title: 'Redis killed, stalled, full, read-only', run }]
