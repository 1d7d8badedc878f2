/** What would happen to a request: who would be asked, in which order, and why. Nothing is sent. */
import { Hono } from 'hono'
import { principalOf } from '../middleware/authenticate.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppEnv, respondJson } from '../middleware/request-context.ts'
import type { Router } from '../services/router.ts'

export interface RouteRouteOptions {
  router: Pick<Router, 'explain'>
  readJson: ReadJson
}

export function routeRoutes({ router, readJson }: RouteRouteOptions) {
  const app = new Hono<AppEnv>()
  app.post('/explain', async (c) => {
    const { accountId, limits } = principalOf(c)
    const caller = { accountId, allowedModels: limits.key.models }
    return respondJson(c, 200, router.explain((await readJson(c)).value, caller))
  })
  return app
}
