/** `npm run docs`: writes the reference tables from the code that they describe. A test fails when they differ. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { howOf } from '../bench/security/judge.ts'
import { threats } from '../bench/security/threats.ts'
import { variables } from '../src/config.ts'
import { edgeVariables } from '../src/edge/config.ts'
import { errorTable } from '../src/errors.ts'
import { openApiDocument } from '../src/reference/openapi.ts'
import { instruments } from '../src/telemetry/instruments.ts'
import type { Variable } from '../src/variables.ts'
import { cases } from '../tests/http-cache/cases.ts'

const row = (...cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
const table = (head: string[], rows: string[][]) =>
  [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n')

const variableTable = (all: Record<string, Variable<unknown>>) =>
  table(
    ['Variable', 'Default', 'Allowed', 'Meaning'],
    Object.entries(all).map(([name, variable]) => [
      `\`${name}\``,
      variable.default === undefined ? '(unset)' : `\`${variable.default}\``,
      variable.allowed,
      variable.meaning,
    ]),
  )

const sections = [...new Set(cases.map(({ section }) => section))]
const sectionRow = (name: string, all: typeof cases) => [
  name,
  ...(['MUST', 'SHOULD', 'MAY'] as const).map((level) => String(all.filter((each) => each.level === level).length)),
  String(all.length),
]

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
  version: string
}

export const pages: Record<string, string> = {
  'openapi.json': `${JSON.stringify(openApiDocument(version), null, 2)}\n`,
  'configuration.md': `# Configuration

Environment variables, all checked at start: a bad one ends the process with exit code 1 and one line that names the
variable, its value and what is allowed. Every variable can also be given as \`NAME_FILE\`, the path of a file that holds
the value. An empty value counts as unset. Durations take \`ms\`, \`s\`, \`m\`, \`h\`. Secrets are never printed.

${variableTable(variables)}

## The worker at the edge

Variables and secrets of the worker, checked at its first request ([edge.md](edge.md)). They have no \`NAME_FILE\`.

${variableTable(edgeVariables)}
`,
  'edge-cache.md': `# What the edge's cache is held to

A shared HTTP cache after RFC 9111, with RFC 5861 (\`stale-while-revalidate\`, \`stale-if-error\`) and RFC 9213
(\`CDN-Cache-Control\`). Each line is a conversation between a caller, the cache and an origin, in \`tests/http-cache/cases.ts\`;
all of them run on Node and in the worker runtime, over real sockets: \`npx vitest run tests/http-cache\`. The levels are
those of the RFC's own words.

${table(
  ['Section', 'MUST', 'SHOULD', 'MAY', 'in all'],
  [
    ...sections.map((section) =>
      sectionRow(
        section,
        cases.filter((each) => each.section === section),
      ),
    ),
    sectionRow('all', cases),
  ],
)}

${sections
  .map(
    (section) =>
      `## ${section}\n\n${cases
        .filter((each) => each.section === section)
        .map(({ level, name }) => `- ${level}: ${name}`)
        .join('\n')}`,
  )
  .join('\n\n')}
`,
  'errors.md': `# Errors

Under \`/v1\` an error has OpenAI's envelope, \`{"error": {"message", "type", "param", "code"}}\`. Everywhere else it is
RFC 9457 problem details with \`code\` and \`request_id\`. The \`code\` is stable; messages may become more exact. Errors with
429 and 503 carry \`Retry-After\`, but for \`provider_not_configured\`, which no waiting mends; \`x-should-retry: false\` says that
trying again is of no use, as where the gateway has done it already. A pod that drains answers \`/readyz\` with 503 and
\`{"status": "draining"}\`, which is no error and has none: another pod may be asked at once.

${table(
  ['Code', 'Status', 'OpenAI type', 'Message'],
  Object.entries(errorTable).map(([code, { status, type, message }]) => [
    `\`${code}\``,
    String(status),
    `\`${type}\``,
    message,
  ]),
)}
`,
  'metrics.md': `# Metrics

\`GET /metrics\` answers in Prometheus text. Label values come from small fixed sets: routes are patterns, never paths.
Besides these there are the process and event-loop metrics of Node itself (\`process_*\`, \`nodejs_*\`). Counters whose
labels have fixed values are there with 0 from the first scrape ([0081](decisions/0081-a-counter-begins-with-0.md)).

Those of business are there only with \`METRICS_TOKEN\`. What a request brings on average is
\`sum(rate(revenue_usd_total{kind="inference"}[1h])) / sum(rate(ledger_entries_total{kind="settle"}[1h]))\`; how much of the
machines of deployments is used, at the least (each pod tells of its own calls), \`sum(avg_over_time(gpu_machines_serving{state="busy"}[1h])) / sum(avg_over_time(gpu_machines_serving[1h]))\`.
The margin of inference is \`sum(rate(costed_revenue_usd_total[1h])) - sum(rate(provider_cost_usd_total[1h]))\`, in dollars a
second, of requests whose cost the routing file tells (\`provider_cost\`, [routing.md](routing.md)); rented machines are passed on
at the market's price and leave none.

${table(
  ['Metric', 'Kind', 'Labels', 'Meaning'],
  Object.values(instruments).map(({ name, kind, labels, help }) => [
    `\`${name}\``,
    kind,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ]),
)}
`,
  'security.md': `# Security: the threats and what shows that they are met

\`npm run security\` runs the tests that each row names, takes its measures, prints the result of each and ends with 1 where
one is not met; \`-- --row 7\` runs one. No test asserts a time or an amount of memory: these
are measured by the command (0079). How to report a hole: [SECURITY.md](../SECURITY.md).

${table(
  ['#', 'Threat', 'What must hold', 'How it is checked'],
  threats.map((threat) => [String(threat.id), threat.name, threat.bar, howOf(threat)]),
)}

## What no command shows, and why

${threats
  .filter(({ reason }) => reason !== undefined)
  .map(({ id, reason }) => `- ${id}: ${reason}`)
  .join('\n')}
`,
}

export const pagePath = (page: string) => join(import.meta.dirname, page)
export const readPage = (page: string) => readFileSync(pagePath(page), 'utf8')

if (import.meta.main) for (const [page, text] of Object.entries(pages)) writeFileSync(pagePath(page), text)
