/** Runs the sixteen faults through a gateway: those that wait for long side by side, the others one after another. */
import { rm } from 'node:fs/promises'
import { ask } from './caller.ts'
import { judgeCrowd } from './crowd.ts'
import { startFaultyProvider } from './faulty-provider.ts'
import { answerCheck, type Check, type Verdict, verdictOf } from './judge.ts'
import { judgeOutage } from './outage.ts'
import type { Profile } from './profile.ts'
import { type Case, cases, conductOf, crowdOf, healthyName, outages, writeRoutingFile } from './setting.ts'

export interface Row {
  id: string
  title: string
  verdict: Verdict
  checks: Check[]
}

export interface ScorecardOptions {
  profile: Profile
  apiKey: string
  /** Where the routing file may be written. */
  routingFile: string
  startGateway(env: Record<string, string>): Promise<{ url: string; stop(): Promise<unknown> }>
  onProgress?(text: string): void
}

const outageTitle = 'an outage, then back'

export async function runScorecard(options: ScorecardOptions): Promise<Row[]> {
  const { profile, apiKey, routingFile, startGateway, onProgress = () => {} } = options
  const healthy = { conduct: () => ({ kind: 'answer' }) as const, wordMs: profile.wordMs }
  const provider = await startFaultyProvider({ conduct: conductOf(profile), wordMs: profile.wordMs })
  const away = { unavailable: await startFaultyProvider(healthy), refused: await startFaultyProvider(healthy) }
  const servers = [provider, away.unavailable, away.refused]
  const outageUrls = { unavailable: away.unavailable.url, refused: away.refused.url }
  await writeRoutingFile(routingFile, { url: provider.url, outageUrls })
  const gateway = await startGateway({ GATEWAY_CONFIG: routingFile, ...profile.env }).catch(async (error) => {
    await Promise.all(servers.map((server) => server.close()))
    throw error
  })
  const { url } = gateway
  const call = { url, apiKey, limitMs: profile.limitMs }
  const rows: Row[] = []

  const finish = (id: string, title: string, checks: Check[]) => {
    const verdict = verdictOf(checks)
    rows.push({ id, title, verdict, checks })
    onProgress(`${id} ${title}: ${verdict}`)
  }
  const attemptsOf = (model: string) => provider.attempts.filter((attempt) => attempt.model === model)

  async function judgeCase(each: Case): Promise<Check[]> {
    const { variant, model, fallbacks, primary, spare } = each
    const seen = await ask({ ...call, model, ...(fallbacks.length > 0 && { fallbacks }) })
    const after = await ask({ ...call, model: healthyName })
    const run = { seen, primary: attemptsOf(primary), spare: attemptsOf(spare), profile }
    const crowd = crowdOf(each)
    return [
      ...variant.judge(run),
      ...(variant.crowd
        ? await judgeCrowd({
            ...call,
            model: crowd.model,
            maxMs: profile.maxCrowdMs,
            attempts: () => attemptsOf(crowd.primary),
          })
        : []),
      { ...answerCheck(after), name: 'a healthy call after it', verdict: healthyVerdict(answerCheck(after)) },
    ]
  }

  const byFault = Object.values(Object.groupBy(cases, ({ fault }) => fault.id)) as Case[][]
  const named = (all: readonly Case[], each: Case, checks: Check[]) =>
    all.length === 1 ? checks : checks.map((check) => ({ ...check, name: `${each.variant.name}: ${check.name}` }))

  async function judgeSlow(all: Case[]) {
    const { id, title } = all[0]!.fault
    finish(id, title, (await Promise.all(all.map(async (each) => named(all, each, await judgeCase(each))))).flat())
  }
  async function judgeQuick(faults: Case[][]) {
    for (const all of faults) {
      const { id, title } = all[0]!.fault
      onProgress(`${id} ${title} …`)
      const checks: Check[] = []
      for (const each of all) checks.push(...named(all, each, await judgeCase(each)))
      finish(id, title, checks)
    }
  }
  async function judgeOutages() {
    const checks = await Promise.all(
      outages.map(async (how) => {
        const found = await judgeOutage({ how, provider: away[how], url, apiKey, profile })
        return found.map((check) => ({ ...check, name: `${how}: ${check.name}` }))
      }),
    )
    const after = answerCheck(await ask({ ...call, model: healthyName }))
    finish('S15', outageTitle, [
      ...checks.flat(),
      { ...after, name: 'a healthy call after it', verdict: healthyVerdict(after) },
    ])
  }

  try {
    const slow = byFault.filter(([first]) => first!.fault.slow)
    onProgress(`S15 and ${slow.map(([first]) => first!.fault.id).join(', ')} run beside the others …`)
    await Promise.all([
      judgeQuick(byFault.filter(([first]) => !first!.fault.slow)),
      ...slow.map(judgeSlow),
      judgeOutages(),
    ])
  } finally {
    await gateway.stop()
    await Promise.all(servers.map((server) => server.close()))
    await rm(routingFile, { force: true })
  }
  return rows.sort((a, b) => a.id.localeCompare(b.id))
}

/** Nothing is wrong there: anything but the whole answer is a failure. */
const healthyVerdict = ({ verdict }: Check): Verdict => (verdict === 'pass' ? 'pass' : 'fail')
