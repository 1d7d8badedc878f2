/**
 * Every example of the reference runs as it is printed, in each language against a gateway of its own, and what is
 * answered is what the reference says: a documented status, and no field that is not documented.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Language, languages, type RouteDoc } from '../../src/reference/route.ts'
import { routes } from '../../src/reference/routes.ts'
import { samplesOf } from '../../src/reference/samples.ts'
import { eventually, startTestGateway, type TestGateway, testAccountId, testKey } from '../support/gateway.ts'
import { type Exchange, type RecordingProxy, startRecordingProxy } from '../support/recording-proxy.ts'

const run = promisify(execFile)
/** Processes start slowly on a busy machine. */
const longestMs = 60_000
const programs: Record<Language, (source: string) => [command: string, args: string[]]> = {
  curl: (source) => ['sh', ['-ec', source]],
  javascript: (source) => [process.execPath, ['--input-type=module', '-e', source]],
  python: (source) => ['python3', ['-c', source]],
}

/** Within the project, so that the examples' packages are found. */
const folder = () => {
  const root = join(import.meta.dirname, '../../.cache')
  mkdirSync(root, { recursive: true })
  return mkdtempSync(join(root, 'examples-'))
}
/** A fraction of a second of silence. */
const wav = Buffer.concat([
  Buffer.from('UklGRiQEAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAEAAA=', 'base64'),
  Buffer.alloc(1_024, 128),
])

test.each([
  ['curl', ['--version']],
  ['python3', ['--version']],
])('%s is on this machine, as the examples need', async (command, args) => {
  const missing = await run(command, args).then(
    () => undefined,
    () => `${command} is not on this machine: install it, the reference’s examples are run with it`,
  )
  expect(missing).toBeUndefined()
})

const examples = routes.flatMap((route) =>
  'none' in route.examples ? [] : route.examples.map((example) => ({ route, example })),
)
const nameOf = ({ method, path }: RouteDoc) => `${method} ${path}`
// What ends an account, or how its person signs in, ends what the other examples stand on.
const last = ['closeAccount', 'changePassword']
const order = examples.toSorted((a, b) => last.indexOf(a.route.name) - last.indexOf(b.route.name))

describe.each(Object.keys(languages) as Language[])('in %s', { timeout: 2 * longestMs }, (language) => {
  let gateway: TestGateway
  let proxy: RecordingProxy
  let cwd: string

  beforeAll(async () => {
    cwd = folder()
    writeFileSync(join(cwd, 'hello.wav'), wav)
    gateway = await startTestGateway({ market: { provisioningMs: 20, loadingMs: 20, paced: false } })
    proxy = await startRecordingProxy(gateway.url)
    machines.set(gateway, [machine(gateway), machine(gateway)])
    gateway.sandbox.stripe.webhooks.sendTo(`${proxy.url}/api/v1/webhooks/stripe`)
  })
  afterAll(async () => {
    await gateway.close()
    await proxy.close()
    rmSync(cwd, { recursive: true, force: true })
  })

  test.each(order.map(({ route, example }) => [`${nameOf(route)}: ${example.title}`, route, example] as const))(
    '%s',
    async (_title, route, example) => {
      const { source } = samplesOf(route, example).find(({ lang }) => lang === language)!
      const env: Record<string, string> = { PATH: process.env.PATH!, GPUPROXY_URL: proxy.url, GPUPROXY_KEY: testKey }
      const named = new Set([...source.matchAll(/[A-Z]+_[A-Z_]+/g)].map(([name]) => name))
      for (const name of named) if (name in given) env[name] = await given[name]!(gateway, route)

      const [command, args] = programs[language](source)
      const from = proxy.exchanges.length
      await run(command, args, { cwd, env, timeout: longestMs })

      const own = proxy.exchanges.slice(from).filter(({ path }) => !path.startsWith('/api/v1/webhooks/'))
      expect(own).toHaveLength(1)
      expect(problemsOf(route, own[0]!)).toEqual([])
      expect(matches(route, own[0]!)).toBe(true)
    },
  )

  test('Stripe’s events are answered as documented', async () => {
    const route = routes.find(({ name }) => name === 'stripeWebhook')!
    const event = await eventually(() => proxy.exchanges.find((exchange) => matches(route, exchange)))
    expect(problemsOf(route, event!)).toEqual([])
  })
})

const matches = (route: RouteDoc, { method, path }: Exchange) =>
  method === route.method && new RegExp(`^${route.path.replace(/\{\w+\}/g, '.+')}$`).test(path.split('?')[0]!)

/** How the answer differs from what the route’s words say. */
function problemsOf(route: RouteDoc, { status, headers, body }: Exchange): string[] {
  const answer = route.answers[status]
  if (!answer) return [`status ${status} is not documented: ${body.slice(0, 500)}`]
  const missing = ['x-request-id', ...Object.keys(answer.headers ?? {})]
    // Some are only there in some cases, which their words tell.
    .filter(
      (name) => headers[name.toLowerCase()] === undefined && !/only there where/i.test(answer.headers?.[name] ?? ''),
    )
    .map((name) => `no header ${name}`)
  const type = String(headers['content-type'] ?? '').split(';')[0]!
  const isJson = /[/+]json$/.test(type)
  if (answer.json && isJson) return [...missing, ...undocumented(answer.json, JSON.parse(body))]
  const known = answer.types?.some((each) => each === type || each === '*/*') ?? false
  return known || (!answer.json && !answer.types && body === '')
    ? missing
    : [...missing, `type ${type} is not documented`]
}

/** A schema drops what it does not know: what is left has to be what came. */
function undocumented(schema: NonNullable<RouteDoc['answers'][number]['json']>, value: unknown): string[] {
  const parsed = schema.safeParse(value)
  if (!parsed.success) return parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  return differences('', value, parsed.data)
}

function differences(path: string, came: unknown, known: unknown): string[] {
  if (typeof came !== 'object' || came === null) return []
  return Object.entries(came).flatMap(([name, inner]) =>
    name in (known as object)
      ? differences(`${path}.${name}`, inner, (known as Record<string, unknown>)[name])
      : [`${path}.${name} is not documented`],
  )
}

/** What an example names besides the gateway and a key: made for it alone, through the same API. */
const given: Record<string, (gateway: TestGateway, route: RouteDoc) => Promise<string>> = {
  GPUPROXY_TOKEN: async (gateway) => (await signedIn(gateway)).access_token,
  REFRESH_TOKEN: async (gateway) => (await signedIn(gateway)).refresh_token,
  async API_KEY_ID(gateway) {
    const { access_token: token } = await signedIn(gateway)
    const made = await gateway.post('/api/v1/auth/apikeys', { name: 'of a test' }, { headers: bearer(token) })
    return (await made.json()).id
  },
  async ACCOUNT_ID(gateway) {
    await signedIn(gateway)
    const { accounts } = await (await gateway.get('/api/v1/admin/accounts')).json()
    return accounts.find(({ id }: { id: string }) => id !== testAccountId).id
  },
  async INSTANCE_ID(gateway, { path, name }) {
    const [proxied, handled] = machines.get(gateway)!
    const id = await (path.includes('/proxy/') ? proxied : handled)
    if (name === 'startInstance') await reached(gateway, id, 'stopped')
    else if (name !== 'endInstance') await reached(gateway, id, 'running')
    return id
  },
  RESERVATION_ID: async (gateway) => (await rented(gateway, 'reservations', reservationBody)).id,
  DEPLOYMENT_ID: async (gateway) => (await rented(gateway, 'deployments', deploymentBody())).id,
  async PAYMENT_ID(gateway) {
    const body = { amount: '5.00', currency: 'USD', payment_method: 'pm_card_visa' }
    return (await (await gateway.post('/api/v1/billing/payments', body, keyed())).json()).id
  },
  async REQUEST_ID(gateway) {
    const body = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }
    const answer = await gateway.post('/v1/chat/completions', body)
    await answer.text()
    const id = answer.headers.get('x-request-id')!
    await eventually(
      () => gateway.get(`/api/v1/receipts/${id}`),
      ({ status }) => status === 200,
    )
    return id
  },
}

let made = 0
const keyed = () => ({ headers: { 'idempotency-key': `given-${++made}` } })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const filters = { provider: 'vastai', max_price: 10 }
const instanceBody = { filters, image: 'ubuntu:24.04', ports: [8000] }
const reservationBody = { count: 1, filters, config: { image: 'ubuntu:24.04' } }
const deploymentBody = () => ({ model: 'llama-3.1-8b', name: `given-${++made}`, max_price: 10 })

async function rented(gateway: TestGateway, what: string, body: object) {
  const answer = await gateway.post(`/api/v1/gpu/${what}`, body, keyed())
  const value = await answer.json()
  expect(answer.status, JSON.stringify(value)).toBeLessThan(300)
  return value
}
/** Rented at the start, since a machine takes seconds to come up: one for the proxy, and one that is stopped and ended. */
const machines = new WeakMap<TestGateway, [proxied: Promise<string>, handled: Promise<string>]>()
const machine = async (gateway: TestGateway): Promise<string> => (await rented(gateway, 'instances', instanceBody)).id
const reached = (gateway: TestGateway, id: string, wanted: string) =>
  eventually(
    () => instanceOf(gateway, id),
    ({ status, address }) => status === wanted && (wanted !== 'running' || address !== undefined),
  )
const instanceOf = async (gateway: TestGateway, id: string) => (await gateway.get(`/api/v1/gpu/instances/${id}`)).json()

/** The person of whom the examples tell; whoever closed the account opens it anew. */
async function signedIn(gateway: TestGateway) {
  const person = { email: 'ada@example.com', password: 'correct horse battery staple' }
  await gateway.post('/api/v1/auth/register', person)
  const answer = await gateway.post('/api/v1/auth/login', person)
  return (await answer.json()).tokens as { access_token: string; refresh_token: string }
}
