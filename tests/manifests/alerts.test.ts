/** The alerts: valid, each with what it fires on and what it does not, a runbook entry, and metrics that there are. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { instruments } from '../../src/telemetry/instruments.ts'
import { findTool } from '../support/tools.ts'
import { type AlertCase, alertCases } from './alert-cases.ts'

interface Rule {
  alert?: string
  record?: string
  expr: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

const root = join(import.meta.dirname, '../..')
const { spec } = parse(readFileSync(join(root, 'manifests/components/monitoring/rules.yaml'), 'utf8')) as {
  spec: { groups: { name: string; rules: Rule[] }[] }
}
const rules = spec.groups.flatMap((group) => group.rules)
const alerts = rules.filter(({ alert }) => alert !== undefined)
const folder = mkdtempSync(join(tmpdir(), 'alerts-'))
let promtool: (...args: string[]) => Promise<{ ok: boolean; said: string }>

beforeAll(async () => {
  const { path, env } = await findTool('promtool')
  promtool = (...args) =>
    new Promise((resolve) =>
      execFile(path, args, { env: { ...process.env, ...env }, cwd: folder }, (error, stdout, stderr) =>
        resolve({ ok: error === null, said: stdout + stderr }),
      ),
    )
  writeFileSync(join(folder, 'rules.yaml'), stringify(spec))
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** That the alert fires, or does not, once the series have gone on for so long. */
const unitTest = (alert: string, { at }: AlertCase, series: Record<string, string>, fires: boolean) => ({
  name: `${alert} ${fires ? 'fires' : 'is silent'}`,
  interval: '1m',
  input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
  promql_expr_test: [
    {
      expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
      eval_time: `${at}m`,
      exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
    },
  ],
})

test('promtool finds the rules valid', async () => {
  const { ok, said } = await promtool('check', 'rules', 'rules.yaml')
  expect(said).toContain('SUCCESS')
  expect(ok).toBe(true)
})

test('every alert has a case of both kinds, and no case is of none', () => {
  expect(Object.keys(alertCases).sort()).toEqual(alerts.map(({ alert }) => alert!).sort())
})

/** Runs all of them, each with the expectation that is right, or with its opposite. */
async function runAll(right: boolean) {
  const tests = Object.entries(alertCases).flatMap(([alert, each]) => [
    unitTest(alert, each, each.fires, right),
    unitTest(alert, each, each.silent, !right),
  ])
  writeFileSync(join(folder, 'tests.yaml'), stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests }))
  return promtool('test', 'rules', 'tests.yaml')
}

test('every alert fires when it should, and is silent when it should be', async () => {
  expect(await runAll(true)).toMatchObject({ ok: true })
}, 120_000)

test('and this check can fail, for each of them', async () => {
  const { ok, said } = await runAll(false)
  expect(ok).toBe(false)
  for (const { alert } of alerts) {
    expect(said.split(`alertname=\\"${alert}\\"`).length - 1, alert).toBe(2)
  }
}, 120_000)

describe('what an alert says', () => {
  const runbook = readFileSync(join(root, 'docs/runbook.md'), 'utf8')
  test.each(alerts.map((rule) => [rule.alert!, rule] as const))('%s', (alert, { labels, annotations }) => {
    expect(['page', 'ticket']).toContain(labels?.severity)
    expect({ L1: '15min', L2: '30min', L3: '1hr' }[labels!.escalation!]).toBe(labels?.response)
    expect(annotations?.runbook).toBe(`docs/runbook.md#${alert.toLowerCase()}`)
    const entry = runbook.split(/^## /m).find((text) => text.startsWith(`${alert}\n`))
    for (const part of ['**Means.**', '**Look.**', '**Do.**', '**Undo.**']) expect(entry, alert).toContain(part)
  })
})

test('every metric that a rule or the dashboard names is one of ours, or of Kubernetes', () => {
  const dashboard = JSON.parse(readFileSync(join(root, 'manifests/components/monitoring/dashboard.json'), 'utf8'))
  const queries = dashboard.panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
    targets.map(({ expr }) => expr),
  )
  const own = new Set(Object.values(instruments).map(({ name }) => name))
  const others = /^(kube_|certmanager_|nodejs_|process_|histogram_quantile$)/
  const unknown = [...rules.map(({ expr }) => expr), ...queries].flatMap((query: string) =>
    [...query.replaceAll(/"[^"]*"|gateway:[\w:]+/g, '').matchAll(/\b[a-z][a-z0-9_]*_[a-z0-9_]+\b(?!\s*\()/g)]
      .map(([name]) => name)
      .filter((name) => !own.has(name.replace(/_(bucket|sum|count)$/, '')) && !others.test(name)),
  )
  expect([...new Set(unknown)]).toEqual([])
})
