/** What an instance serves, for its owner. */
import { Hono } from 'hono'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import type { BodyBudget } from '../middleware/body-budget.ts'
import { type AppContext, type AppEnv, header, respond } from '../middleware/request-context.ts'
import type { HttpCall, HttpReply } from '../ports.ts'
import type { InstanceProxy } from '../services/instance-proxy.ts'

export interface InstanceProxyRouteOptions {
  proxy: InstanceProxy
  bodies: BodyBudget
}

const methods: readonly HttpCall['method'][] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
const maxBytes = 20 * 1024 * 1024
/** Of one connection each (RFC 9110, 7.6.1), or the gateway's own business: credentials most of all. */
const keptBack = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade', 'host', 'content-length', 'authorization', 'x-api-key', 'cookie', 'set-cookie'],
  // Who the caller is, and what stands before the gateway, is no business of a stranger's machine.
  ...['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-real-ip', 'via'],
  ...['accept-encoding', 'expect', 'x-gpuproxy-port', 'x-request-id', 'content-encoding'],
])
/** What a stranger's machine answers is shown under the gateway's own name: in a browser it may do nothing there. */
const sandboxed = { 'content-security-policy': 'sandbox', 'x-content-type-options': 'nosniff' }

export function instanceProxyRoutes({ proxy, bodies }: InstanceProxyRouteOptions) {
  const app = new Hono<AppEnv>()

  async function handle(c: AppContext): Promise<Response> {
    const method = methods.find((each) => each === c.req.method)
    if (!method) throw new ApiError('method_not_allowed', { headers: { allow: methods.join(', ') } })
    if (header(c, 'upgrade') !== undefined) {
      throw new ApiError('invalid_header', { message: 'Upgrade: only plain HTTP is passed on to an instance here.' })
    }
    const request = c.get('request')
    const body = method === 'GET' ? undefined : await bodies.read(c, maxBytes)
    const port = portOf(header(c, 'x-gpuproxy-port'))
    const answer = await proxy.ask(principalOf(c).accountId, c.req.param('id') ?? '', {
      method,
      path: pathOf(c.req.url),
      headers: { ...passedOn(Object.fromEntries(c.req.raw.headers)), 'accept-encoding': 'identity' },
      body: body && body.length > 0 ? body : undefined,
      port,
      signal: request.signal,
    })
    const headers = { ...passedOn(answer.headers), ...sandboxed }
    if (noBody.has(answer.status)) return respond(c, answer.status, headers, null)
    return respond(c, answer.status, headers, answer.body)
  }
  app.all('/:id/proxy', handle)
  app.all('/:id/proxy/:path{.*}', handle)
  return app
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw new ApiError('invalid_header', {
    message: 'x-gpuproxy-port: must be the number of a port that the instance publishes.',
  })
}

const noBody = new Set([204, 205, 304])

/** What stands behind `/proxy`, as the server has it (`..` is resolved by then): whatever it says, it is a path at the instance. */
function pathOf(url: string): string {
  const rest = /^[^/]*\/\/[^/]*\/api\/v1\/gpu\/instances\/[^/?]*\/proxy([^#]*)/.exec(url)?.[1] ?? ''
  return rest.startsWith('/') ? rest : `/${rest}`
}

function passedOn(headers: HttpReply<unknown>['headers']): Record<string, string> {
  const ofThisHop = new Set(
    String(headers.connection ?? '')
      .toLowerCase()
      .split(/[\s,]+/),
  )
  const passed: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !keptBack.has(name) && !ofThisHop.has(name))
      passed[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return passed
}
