/** What an instance serves, for its owner: by any method, and as a WebSocket. */
import { Hono } from 'hono'
import { ApiError } from '../errors.ts'
import { principalOf, type StillGood } from '../middleware/authenticate.ts'
import { type AppContext, type AppEnv, header, respond, waitedFor } from '../middleware/request-context.ts'
import type { HttpReply, StreamBody } from '../ports.ts'
import { headersForCaller, headersForMachine } from '../services/instance-headers.ts'
import type { InstanceProxy } from '../services/instance-proxy.ts'

export interface InstanceProxyRouteOptions {
  proxy: InstanceProxy
  streamBody: StreamBody
  stillGood: StillGood
}

export function instanceProxyRoutes({ proxy, streamBody, stillGood }: InstanceProxyRouteOptions) {
  const app = new Hono<AppEnv>()

  app.all('/:id/proxy', async (c) => {
    const { proxiedPath: path, upgrade } = c.env
    // Another spelling of this route, whose rest nobody has kept apart.
    if (path === undefined) throw new ApiError('unknown_route', { message: `There is no route ${c.req.path}.` })
    const request = c.get('request')
    const { accountId } = principalOf(c)
    const id = c.req.param('id')
    const asked = {
      method: c.req.method,
      path,
      headers: headersForMachine(c.env.headers ?? Object.fromEntries(c.req.raw.headers)),
      port: portOf(header(c, 'x-gpuproxy-port')),
      signal: request.signal,
      onEnd: (fn: () => void) => request.onEnd(fn),
      stillGood: stillGood(c),
    }
    if (upgrade === undefined) {
      const body = streamBody(c.req.raw, c.env, { idleMs: proxy.idleTimeoutMs })
      return passOn(c, await waitedFor(c, proxy.ask(accountId, id, { ...asked, body })))
    }
    const answer = await waitedFor(c, proxy.join(accountId, id, asked, c.env))
    if (!('closed' in answer)) return passOn(c, answer)
    request.outlive(answer.closed, answer.status)
    const headers = { ...headersForCaller(answer.headers, c.req.path), connection: 'upgrade', upgrade: 'websocket' }
    return respond(c, answer.status, headers, null)
  })
  return app
}

function passOn(c: AppContext, { status, headers, body }: HttpReply<AsyncIterable<Uint8Array>>): Response {
  // Only what HTTP knows can be said in HTTP.
  if (status > 599) throw new ApiError('instance_unreachable')
  const passed = headersForCaller(headers, c.req.path)
  if (!hasNoBody.has(status)) return respond(c, status, passed, body)
  // Whoever is told of a body would wait for it.
  if (status !== 304) delete passed['content-length']
  return respond(c, status, passed, null)
}

const hasNoBody = new Set([204, 205, 304])

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw new ApiError('invalid_header', {
    message: 'x-gpuproxy-port: must be the number of a port that the instance publishes.',
  })
}
