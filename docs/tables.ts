/** `npm run docs`: writes the reference tables from the code that they describe. A test fails when they differ. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { variables } from '../src/config.ts'
import { errorTable } from '../src/errors.ts'
import { openApiDocument } from '../src/reference/openapi.ts'
import { instruments } from '../src/telemetry/instruments.ts'

const row = (...cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
const table = (head: string[], rows: string[][]) =>
  [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n')

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
  version: string
}

export const pages: Record<string, string> = {
  'openapi.json': `${JSON.stringify(openApiDocument(version), null, 2)}\n`,
  'configuration.md': `# Configuration

Environment variables, all checked at start: a bad one ends the process with exit code 1 and one line that names the
variable, its value and what is allowed. Every variable can also be given as \`NAME_FILE\`, the path of a file that holds
the value. An empty value counts as unset. Durations take \`ms\`, \`s\`, \`m\`, \`h\`. Secrets are never printed.

${table(
  ['Variable', 'Default', 'Allowed', 'Meaning'],
  Object.entries(variables).map(([name, variable]) => [
    `\`${name}\``,
    variable.default === undefined ? '(unset)' : `\`${variable.default}\``,
    variable.allowed,
    variable.meaning,
  ]),
)}
`,
  'errors.md': `# Errors

Under \`/v1\` an error has OpenAI's envelope, \`{"error": {"message", "type", "param", "code"}}\`. Everywhere else it is
RFC 9457 problem details with \`code\` and \`request_id\`. The \`code\` is stable; messages may become more exact. Answers with
429 and 503 carry \`Retry-After\`; \`x-should-retry: false\` says that the gateway has tried again already.

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
Besides these there are the process and event-loop metrics of Node itself (\`process_*\`, \`nodejs_*\`).

Those of business are there only with \`METRICS_TOKEN\`. What a request brings on average is
\`sum(rate(revenue_usd_total{kind="inference"}[1h])) / sum(rate(ledger_entries_total{kind="settle"}[1h]))\`; how much of the
machines of deployments is used, \`sum(avg_over_time(gpu_machines_serving{state="busy"}[1h])) / sum(avg_over_time(gpu_machines_serving[1h]))\`.
No metric tells the margin: machines are passed on at the market's price, and what a provider of models bills is told to nobody
here.

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
}

export const pagePath = (page: string) => join(import.meta.dirname, page)
export const readPage = (page: string) => readFileSync(pagePath(page), 'utf8')

if (import.meta.main) for (const [page, text] of Object.entries(pages)) writeFileSync(pagePath(page), text)
