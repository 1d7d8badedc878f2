/** What machines ask every few seconds. Liveness asks nothing of anyone: a database outage must not kill pods. */
import { Hono } from 'hono'
import { ApiError } from '../errors.ts'
import { type AppContext, type AppEnv, header, respond } from '../middleware/request-context.ts'
import type { Metrics } from '../ports.ts'
import type { Health } from '../services/health.ts'

export interface ProbeOptions {
  health: Health
  metrics: Metrics
  metricsToken: string | undefined
  /** Of equal length or not, compares in constant time. */
  sameSecret: (a: string, b: string) => boolean
  isDraining: () => boolean
}

/** What was so a moment ago is nobody's answer now: a cache would go on saying that a dead pod is ready. */
const fresh = { 'cache-control': 'no-store' }
const json = { 'content-type': 'application/json', ...fresh }

export function probeRoutes({ health, metrics, metricsToken, sameSecret, isDraining }: ProbeOptions) {
  const app = new Hono<AppEnv>()
  const state = (c: AppContext, ok: boolean, status: string) =>
    respond(c, ok ? 200 : 503, json, JSON.stringify({ status }))

  app.get('/livez', (c) => state(c, true, 'alive'))
  // The process listens only once its database is there and migrated: whoever can ask has started.
  app.get('/startupz', (c) => state(c, true, 'started'))
  app.get('/readyz', (c) => state(c, !isDraining(), isDraining() ? 'draining' : 'ready'))
  for (const path of ['/health', '/api/v1/health']) {
    app.get(path, async (c) => {
      const page = health.page()
      return respond(c, 200, json, typeof page === 'string' ? page : await page)
    })
  }
  app.get('/metrics', async (c) => {
    if (metricsToken && !sameSecret(header(c, 'authorization') ?? '', `Bearer ${metricsToken}`)) {
      throw new ApiError('missing_credential', {
        message: 'Send the METRICS_TOKEN as "Authorization: Bearer <token>".',
      })
    }
    const { contentType, text } = await metrics.render()
    return respond(c, 200, { 'content-type': contentType, ...fresh }, text)
  })
  return app
}
