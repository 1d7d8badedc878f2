/**
 * `npm run soak -- --minutes 60`: half of what one core can do, and one fault after another, for a long time. Memory and
 * descriptors may not grow, and every answer that is not whole must be explained by a fault. See docs/reliability.md.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { seededRandom } from '../tests/support/seeded-random.ts'
import { atMost, type Bar, told } from './bars.ts'
import { plot } from './capacity/plot.ts'
import { measureCapacity } from './gameday/capacity.ts'
import { type Kind, othersOf, p99, type Sent, startLoad } from './gameday/load.ts'
import { chats, closeSettings, inSetting, reads, type Setting, streams } from './gameday/setting.ts'
import { loadAverage, residentMib } from './proc.ts'
import { pin, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { type Spell, trouble } from './soak/faults.ts'
import { enough, judgeGateways, type Sample, unexplained } from './soak/judge.ts'
import { otherCore } from './systems.ts'

const size = 3
const share = 0.5
/** The books are held against the records after each, and what was kept of it is forgotten. */
const roundSeconds = 55
const sampleMs = 5_000
const warmUpSeconds = 10
const resultsFile = fileURLToPath(new URL('results/soak.json', import.meta.url))
const plotFile = fileURLToPath(new URL('results/soak.svg', import.meta.url))

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** Instead of half of what is measured. */
    rate: { type: 'string' },
  },
})
const minutes = Number(values.minutes)
if (!(minutes >= 1)) throw new RangeError(`--minutes must be at least 1, got ${values.minutes}`)
const seed = Number(values.seed)
const random = seededRandom(seed)

interface Round {
  sent: number
  whole: number
  p99Ms: number
  spells: Spell[]
  unexplained: string
  bars: Bar[]
}

const progress = createProgress()
const say = (line: string) => progress.show(line)
const bars = await supervise(run, closeSettings)
process.exit(bars.every(({ met }) => met) ? 0 : 1)

async function run(): Promise<Bar[]> {
  await pin(process.pid, otherCore)
  say(`seed ${seed}; load average ${await loadAverage()}`)
  const perSecond = values.rate ? Number(values.rate) : share * (await measureCapacity(size, say)).chats
  const kinds = [chats(perSecond * 0.8), streams(perSecond * 0.1), reads('offers', '/api/v1/gpu/offers?limit=5', 5)]
  // A caller who asks for no stream waits for a silent provider no longer than a fault lasts.
  const timeouts = { headers: '3s', first_token: '3s', total: '5s' }
  return inSetting({ size, timeouts, provider: { seed } }, async (setting) => {
    say(`${perSecond.toFixed(0)} requests/s; warming up`)
    await (await startLoad(setting.urls(), kinds, warmUpSeconds)).done
    const startedAt = performance.now()
    const minute = () => (performance.now() - startedAt) / 60_000
    const samples: Sample[] = []
    const look = async (atRest: boolean) => {
      for (const [pod, { pid }] of setting.pods.entries()) {
        const descriptors = atRest ? { descriptors: (await readdir(`/proc/${pid}/fd`)).length } : {}
        samples.push({ minute: minute(), pod, mib: await residentMib(pid), ...descriptors })
      }
    }
    const looking = setInterval(() => void look(false), sampleMs)
    const rounds: Round[] = []
    try {
      while (minute() < minutes) {
        rounds.push(await round(setting, kinds))
        await look(true)
        const { sent, whole, p99Ms } = rounds.at(-1)!
        say(`minute ${minute().toFixed(1)} of ${minutes}: ${whole} of ${sent} whole, p99 ${p99Ms.toFixed(0)} ms`)
      }
    } finally {
      clearInterval(looking)
    }
    const bars = judge(rounds, samples)
    await report({ perSecond, rounds, samples, bars })
    return bars
  })
}

async function round(setting: Setting, kinds: readonly Kind[]): Promise<Round> {
  await setting.provider.forget()
  const since = new Date()
  const load = await startLoad(() => setting.urls(), kinds, roundSeconds, { warmUp: false })
  const untilMs = (roundSeconds - 5) * 1_000
  const [spells, sent] = await Promise.all([trouble({ setting, random, now: load.now, untilMs, say }), load.done])
  const odd = unexplained(sent, spells)
  return {
    sent: sent.length,
    whole: sent.filter(({ whole }) => whole).length,
    p99Ms: p99(sent),
    spells,
    unexplained: odd.length === 0 ? '' : `${othersOf(odd)}, the first at ${(odd[0] as Sent).at.toFixed(0)} ms`,
    bars: await setting.ledgerBars(load.history, { since }),
  }
}

function judge(rounds: readonly Round[], samples: readonly Sample[]): Bar[] {
  const requests = rounds.reduce((sum, { sent }) => sum + sent, 0)
  const odd = rounds.flatMap(({ unexplained }, nth) => (unexplained ? `round ${nth + 1}: ${unexplained}` : []))
  const wrong = rounds.flatMap(({ bars }, nth) =>
    bars.filter(({ met }) => !met).map(({ name, got }) => `round ${nth + 1}: ${name} ${got}`),
  )
  const spells = rounds.flatMap(({ spells }) => spells)
  return [
    enough(requests),
    { ...atMost('rounds with an error that no fault explains', 0, odd.length), got: [odd.length, ...odd].join('; ') },
    { ...atMost('books that are not as the records', 0, wrong.length), got: [wrong.length, ...wrong].join('; ') },
    ...judgeGateways(samples, minutes),
    told('faults', `${spells.length} of ${new Set(spells.map(({ fault }) => fault)).size} kinds`),
    told('requests', `${requests}, ${rounds.reduce((sum, { whole }) => sum + whole, 0)} of them whole`),
  ]
}

async function report(found: { perSecond: number; rounds: Round[]; samples: Sample[]; bars: Bar[] }) {
  const { samples, bars } = found
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify({ seed, minutes, ...found }, null, 2)}\n`)
  const lines = [...Map.groupBy(samples, ({ pod }) => pod)].map(([pod, own]) => ({
    name: `gateway ${pod}, MiB`,
    points: own.map(({ minute, mib }) => ({ t: minute * 60, n: mib })),
  }))
  await writeFile(plotFile, plot(lines, 'resident memory over time'))
  const rows = bars.map(({ name, want, got, met }) => [name, want, got, want === '' ? '' : met ? 'met' : 'MISSED'])
  progress.print(
    `\nseed ${seed}, ${found.perSecond.toFixed(0)} requests/s over ${size} gateways for ${minutes} min\n${table(['what', 'want', 'got', ''], rows)}\n\nwritten to ${resultsFile} and soak.svg`,
  )
}
