/** Says to browsers which pages of other origins may call, and read what is answered, errors too. */
import type { MiddlewareHandler } from 'hono'
import { createCors, isPreflight } from '../domain/cors.ts'
import { type AppEnv, header, respond } from './request-context.ts'

/** Before authentication: a browser asks without a credential. */
export function cors(origins: readonly string[]): MiddlewareHandler<AppEnv> {
  const rules = createCors(origins)
  return async function cors(c, next) {
    // What a rented machine serves is the machine's to open (0057).
    if (c.env.proxiedPath !== undefined) return next()
    const origin = header(c, 'origin')
    Object.assign(c.get('request').headers, rules.headers(origin))
    if (!isPreflight(c.req.method, header(c, 'access-control-request-method'))) return next()
    return respond(c, 204, rules.preflight(origin), null)
  }
}
