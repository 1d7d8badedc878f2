/** What administrators do about an account's money: give credit, and lift its guard rails. Each is logged with who did. */
import { Hono } from 'hono'
import * as z from 'zod'
import { formatUsd } from '../domain/money.ts'
import { ApiError } from '../errors.ts'
import { markReplayed, requiredKey } from '../middleware/idempotency.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respondJson } from '../middleware/request-context.ts'
import type { Log, Users } from '../ports.ts'
import type { Grants } from '../services/grants.ts'
import type { Guardrails } from '../services/guardrails.ts'
import { balanceOut, currency } from '../services/money-shapes.ts'
import { who } from './admin.ts'
import { guardrailsOut } from './guardrails.ts'
import { parseOr400 } from './parse.ts'
import { usdAmount } from './usd-amount.ts'

export interface AdminMoneyRouteOptions {
  users: Pick<Users, 'find'>
  grants: Grants
  guardrails: Guardrails
  readJson: ReadJson
  log: Log
}

const noteRule = 'must be 1 to 200 whole characters, none of them a control character'
const note = z.string().regex(/^[^\p{Cc}\p{Cs}]{1,200}$/u, noteRule)
export const creditBody = z.strictObject({ amount: usdAmount, note: note.optional() })
export const guardrailBody = z
  .strictObject({ reset: z.literal(true).optional(), shadow: z.boolean().optional() })
  .refine(({ reset, shadow }) => reset || shadow !== undefined, 'must hold "reset": true or "shadow"')
const uuid = z.guid()

/** Under `/api/v1/admin/accounts`. */
export function adminMoneyRoutes({ users, grants, guardrails, readJson, log }: AdminMoneyRouteOptions) {
  const app = new Hono<AppEnv>()

  app.post('/:id/credits', async (c) => {
    const idempotencyKey = requiredKey(c)
    const accountId = accountIdOf(c)
    const { amount, note } = parseOr400(creditBody, (await readJson(c)).value)
    const { id, replayed, balance } = await grants.give({ accountId, idempotencyKey, amount, note })
    const detail = `${formatUsd(amount)} USD to ${accountId}, grant ${id}`
    if (replayed) markReplayed(c)
    else log.warn('credit granted by an administrator', { ...who(c), detail })
    return respondJson(c, 201, { id, amount: formatUsd(amount), currency, balance: balanceOut(balance) })
  })

  app.patch('/:id/guardrails', async (c) => {
    const accountId = accountIdOf(c)
    const { reset, shadow } = parseOr400(guardrailBody, (await readJson(c)).value)
    if (!(await users.find(accountId))) throw new ApiError('unknown_account')
    if (shadow !== undefined) await guardrails.setShadow(accountId, shadow)
    if (reset) await guardrails.reset(accountId)
    const detail = `${accountId}${reset ? ' reset' : ''}${shadow === undefined ? '' : ` shadow ${shadow}`}`
    log.warn('guard rails changed by an administrator', { ...who(c), detail })
    return respondJson(c, 200, guardrailsOut(await guardrails.show(accountId)))
  })
  return app
}

function accountIdOf(c: AppContext): string {
  const { success, data } = uuid.safeParse(c.req.param('id'))
  if (!success) throw new ApiError('unknown_account')
  return data.toLowerCase()
}
