/** F16: the clocks of two of three gateways are ten minutes off. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chatRequest } from '../answers.ts'
import { startFleet } from './fleet.ts'
import { type Kind, p99, shareOf, startLoad } from './load.ts'
import type { Bar, GamedayRow } from './row.ts'

const offsetsMs = [0, -600_000, 600_000]
const perSecond = 150
const loadSeconds = 15
const limitPerMinute = 1_000
const burst = 5_000
const callers = 150

/** Loaded before the gateway: all that the process asks of the date is off. */
const skewed = (offsetMs: number) =>
  `data:text/javascript,${encodeURIComponent(`
  const Real = Date
  globalThis.Date = class extends Real {
    constructor(...given) { given.length === 0 ? super(Real.now() + ${offsetMs}) : super(...given) }
    static now() { return Real.now() + ${offsetMs} }
  }`)}`

async function run(say: (line: string) => void): Promise<Bar[]> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-gameday-'))
  const flags = (pod: number) => (offsetsMs[pod] === 0 ? [] : ['--import', skewed(offsetsMs[pod]!)])
  const fleet = await startFleet({ folder, size: offsetsMs.length, nodeFlags: flags })
  try {
    const limitedKey = await fleet.limitedKey(limitPerMinute)
    say(`F16: ${perSecond} requests/s over gateways at 0, -10 and +10 minutes`)
    const kind: Kind = {
      name: 'chat',
      perSecond: perSecond / offsetsMs.length,
      method: 'POST',
      path: '/v1/chat/completions',
      body: chatRequest,
    }
    const loads = await Promise.all(fleet.urls.map((url) => startLoad(url, [kind], loadSeconds)))
    const sent = await Promise.all(loads.map(({ done }) => done))
    const [right = Number.NaN, ...wrong] = sent.map(p99)
    const added = Math.max(...wrong) - right
    const answered = shareOf(sent.flat(), ({ whole }) => whole)
    const off = await Promise.all(offsetsMs.map((_, pod) => minutesOff(join(folder, `pod-${pod}`, 'gateway.log'))))
    say(`F16: ${burst} requests at once of a key that may make ${limitPerMinute} a minute`)
    const { admitted, seconds } = await storm(fleet.urls, limitedKey)
    const allowed = limitPerMinute * (1 + seconds / 60)
    return [
      bar('minutes by which the clocks were off', '0 -10 10', off.join(' '), off.join(' ') === '0 -10 10'),
      bar('answered', '100 %', `${(100 * answered).toFixed(3)} %`, answered === 1),
      bar('p99 of those off against the one right', '<= 5 ms', `${added.toFixed(1)} ms`, added <= 5),
      bar(
        `of ${burst} at once admitted`,
        `${Math.round(allowed)} +-1 %`,
        String(admitted),
        Math.abs(admitted / allowed - 1) <= 0.01,
      ),
    ]
  } finally {
    await fleet.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** By the last line of its log. */
async function minutesOff(logFile: string): Promise<number> {
  const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n')
  const { time } = JSON.parse(lines.at(-1) ?? '') as { time: string }
  return Math.round((Date.parse(time) - Date.now()) / 60_000)
}

async function storm(urls: readonly string[], key: string) {
  const from = performance.now()
  let admitted = 0
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let i = caller; i < burst; i += callers) {
        const response = await fetch(`${urls[i % urls.length]}/v1/models`, {
          headers: { authorization: `Bearer ${key}` },
        })
        await response.arrayBuffer()
        if (response.status === 200) admitted++
      }
    }),
  )
  return { admitted, seconds: (performance.now() - from) / 1000 }
}

const bar = (name: string, want: string, got: string, met: boolean): Bar => ({ name, want, got, met })

export const clockRows: GamedayRow[] = [{ id: 'F16', title: 'the clocks of two of three pods are 10 minutes off', run }]
