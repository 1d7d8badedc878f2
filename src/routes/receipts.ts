/** What happened to a request and what it cost, signed; and the key by which anybody can check the signature. */
import { Hono } from 'hono'
import { principalOf } from '../middleware/authenticate.ts'
import { type AppEnv, respond, respondJson, waitedFor } from '../middleware/request-context.ts'
import type { Receipts } from '../services/receipts.ts'

export interface ReceiptRouteOptions {
  receipts: Receipts
}

/** Public: a receipt may be shown to somebody who has no account here. */
export function receiptKeyRoutes({ receipts }: ReceiptRouteOptions) {
  const app = new Hono<AppEnv>()
  app.get('/keys', async (c) => {
    const headers = { 'content-type': 'application/jwk-set+json', 'cache-control': 'public, max-age=3600' }
    return respond(c, 200, headers, JSON.stringify({ keys: [await receipts.publicKey()] }))
  })
  return app
}

export function receiptRoutes({ receipts }: ReceiptRouteOptions) {
  const app = new Hono<AppEnv>()
  app.get('/:id', async (c) => {
    const found = receipts.find(principalOf(c), c.req.param('id'), c.req.raw.signal)
    return respondJson(c, 200, await waitedFor(c, found))
  })
  return app
}
