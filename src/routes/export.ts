/** Everything that is held about the caller's account. */
import { Hono } from 'hono'
import { principalOf } from '../middleware/authenticate.ts'
import { type AppEnv, respond } from '../middleware/request-context.ts'
import type { AccountExport } from '../services/account-export.ts'

export interface ExportRouteOptions {
  accountExport: AccountExport
}

export function exportRoutes({ accountExport }: ExportRouteOptions) {
  const app = new Hono<AppEnv>()
  app.get('/export', async (c) => {
    const headers = {
      'content-type': 'application/json',
      'content-disposition': 'attachment; filename="account.json"',
      'cache-control': 'no-store',
    }
    return respond(c, 200, headers, await accountExport.open(principalOf(c).accountId))
  })
  return app
}
