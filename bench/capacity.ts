/**
 * `npm run capacity -- --trace FILE`: a request trace through a model of Kubernetes' autoscaler, by several policies: pods
 * over time, latency, what was refused and cut, what it costs. See docs/capacity.md. `--live` runs real processes instead.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { costPerMonth, monthly } from './capacity/costs.ts'
import { plot } from './capacity/plot.ts'
import { forecastDefaults, type PolicyName, pod, policies, scrape, syncAfterScrapeMs } from './capacity/policies.ts'
import { type SimulationResult, simulate } from './capacity/simulate.ts'
import { workloadOf } from './capacity/workload.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { parseTrace } from './trace.ts'

interface Outcome extends SimulationResult {
  policy: PolicyName
  meanPods: number
  costPerMonthUsd: number
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const stepMs = 1_000
/** The trace's beginning is played twice: a fleet that has just been installed is another question (`--cold`). */
const warmUpMinutes = 5
const names = Object.keys(policies) as PolicyName[]

const { values } = parseArgs({
  options: {
    trace: { type: 'string', default: here('data/azure-llm-inference-conv-2023.csv') },
    rate: { type: 'string', default: '300' },
    'spread-s': { type: 'string', default: '10' },
    'first-token-ms': { type: 'string', default: '500' },
    'token-ms': { type: 'string', default: '20' },
    'drain-s': { type: 'string', default: String(pod.maxDrainMs / 1_000) },
    'pod-usd': { type: 'string', default: String(monthly.pod) },
    policy: { type: 'string', default: 'manifests' },
    cold: { type: 'boolean', default: false },
    svg: { type: 'string' },
    json: { type: 'boolean', default: false },
    live: { type: 'boolean', default: false },
  },
})
const progress = createProgress()

if (values.live) {
  const { runLive } = await import('./capacity/live.ts')
  process.exit((await runLive({ traceFile: values.trace, json: values.json, progress })) ? 0 : 1)
}

const amount = (name: 'rate' | 'spread-s' | 'first-token-ms' | 'token-ms' | 'drain-s' | 'pod-usd', min: number) => {
  const value = Number(values[name])
  if (!(value >= min)) fail(`--${name} must be a number from ${min}, got ${values[name]}`)
  return value
}
const rate = amount('rate', 1)
const podUsd = amount('pod-usd', 0)
const maxDrainMs = amount('drain-s', 0) * 1_000
const chosen = names.find((name) => name === values.policy)
if (!chosen) fail(`--policy must be one of ${names.join(', ')}, got ${values.policy}`)
const trace = await readFile(values.trace, 'utf8')
  .then(parseTrace)
  .catch((error: Error) => fail(`--trace ${values.trace}: ${error.message}`))
const recorded = workloadOf(trace, {
  stepMs,
  rate,
  spreadMs: rate > 1 ? amount('spread-s', 0) * 1_000 : 0,
  firstTokenMs: amount('first-token-ms', 0),
  tokenMs: amount('token-ms', 0),
})

const warmUpSteps = values.cold ? 0 : Math.min((warmUpMinutes * 60_000) / stepMs, recorded.steps.length)
const workload = { stepMs, steps: [...recorded.steps.slice(0, warmUpSteps), ...recorded.steps] }
const countedSeconds = (recorded.steps.length * stepMs) / 1_000

const outcomes = names.map((policy): Outcome => {
  progress.show(`${policy}: ${policies[policy].does}`)
  const result = simulate({
    workload,
    hpa: policies[policy].hpa,
    pod: { ...pod, maxDrainMs, minDrainMs: Math.min(pod.minDrainMs, maxDrainMs) },
    scrape,
    syncAfterScrapeMs,
    forecast: forecastDefaults,
    initialReplicas: policies[policy].hpa.minReplicas,
    warmUpSteps,
  })
  const meanPods = result.podSeconds / countedSeconds
  return { ...result, policy, meanPods, costPerMonthUsd: costPerMonth(meanPods, podUsd) }
})
if (values.svg) {
  await mkdir(dirname(values.svg), { recursive: true })
  const lines = outcomes.filter(({ policy }) => policy !== 'fixed')
  await writeFile(values.svg, plot(lines.map(({ policy, pods }) => ({ name: policy, points: pods }))))
  progress.show(`plot written to ${values.svg}`)
}
progress.print(values.json ? JSON.stringify(contractOf(outcomes)) : report(outcomes))

function contractOf(all: readonly Outcome[]) {
  const of = ({ pods, p99Ms, refused, cut, costPerMonthUsd, meanPods }: Outcome) => ({
    pods,
    p99_ms: rounded(p99Ms),
    refused: Math.round(refused),
    cut: Math.round(cut),
    mean_pods: rounded(meanPods),
    cost_per_month_usd: rounded(costPerMonthUsd),
  })
  const one = all.find(({ policy }) => policy === chosen)!
  return {
    policy: chosen,
    rate,
    asked: Math.round(one.asked),
    ...of(one),
    policies: Object.fromEntries(all.map((each) => [each.policy, of(each)])),
  }
}

function report(all: readonly Outcome[]): string {
  const count = (value: number) => Math.round(value).toLocaleString('en')
  const rows = all.map(({ policy, pods, meanPods, p99Ms, asked, refused, cut, costPerMonthUsd }) => {
    const there = pods.map(({ n }) => n)
    return [
      policy,
      policies[policy].does,
      `${Math.min(...there)} - ${Math.max(...there)}`,
      meanPods.toFixed(1),
      p99Ms.toFixed(p99Ms < 10 ? 1 : 0),
      `${count(refused)} (${((100 * refused) / asked).toFixed(2)} %)`,
      count(cut),
      `$${count(costPerMonthUsd)}`,
    ]
  })
  const minutes = (countedSeconds / 60).toFixed(0)
  const head = ['policy', 'scales by', 'pods', 'mean', 'added p99 ms', 'refused', 'cut', 'a month']
  return `\n${count(all[0]!.asked)} requests in ${minutes} minutes, each recorded one ${rate} times\n\n${table(head, rows)}`
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
