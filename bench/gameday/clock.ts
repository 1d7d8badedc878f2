/** F16: the clocks of two of three gateways are ten minutes off. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { p99, shareOf, startLoad } from './load.ts'
import type { Bar, GamedayRow } from './row.ts'
import { chats, inSetting } from './setting.ts'

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
  const flags = (pod: number) => (offsetsMs[pod] === 0 ? [] : ['--import', skewed(offsetsMs[pod]!)])
  return inSetting({ size: offsetsMs.length, nodeFlags: flags }, async (setting) => {
    const { pods } = setting
    const urls = setting.urls()
    const limitedKey = await setting.limitedKey(limitPerMinute)
    say(`F16: ${perSecond} requests/s over gateways at 0, -10 and +10 minutes`)
    const kind = chats(perSecond / offsetsMs.length)
    const loads = await Promise.all(urls.map((url) => startLoad(url, [kind], loadSeconds)))
    const sent = await Promise.all(loads.map(({ done }) => done))
    const [right = Number.NaN, ...wrong] = sent.map(p99)
    const added = Math.max(...wrong) - right
    const answered = shareOf(sent.flat(), ({ whole }) => whole)
    const off = await Promise.all(pods.map(({ folder }) => minutesOff(join(folder, 'gateway.log'))))
    say(`F16: ${burst} requests at once of a key that may make ${limitPerMinute} a minute`)
    const { admitted, seconds } = await storm(urls, limitedKey)
    const allowed = limitPerMinute * (1 + seconds / 60)
    return [
      bar('minutes by which the clocks were off', '0 -10 10', off.join(' '), off.join(' ') === '0 -10 10'),
      bar('answered', '100 %', `${(100 * answered).toFixed(3)} %`, answered === 1),
      {
        ...bar('p99 of those off against the one right', '<= 5 ms', `${added.toFixed(1)} ms`, added <= 5),
        timed: true,
      },
      bar(
        `of ${burst} at once admitted`,
        `${Math.round(allowed)} +-1 %`,
        String(admitted),
        Math.abs(admitted / allowed - 1) <= 0.01,
      ),
      ...(await setting.ledgerBars(loads.flatMap(({ history }) => [...history]))),
    ]
  })
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
