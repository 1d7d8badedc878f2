/** The guard rails of the caller's account: what they are, lower ones of its own, and whether an amount would fit. */
import { Hono } from 'hono'
import * as z from 'zod'
import { type WindowState, windowNames } from '../domain/guardrails.ts'
import { formatUsd } from '../domain/money.ts'
import { principalOf } from '../middleware/authenticate.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respondJson } from '../middleware/request-context.ts'
import { blockedOut, type Guardrails, guardrailExceeded, minuteOut } from '../services/guardrails.ts'
import { currency } from '../services/money-shapes.ts'
import { parseOr400 } from './parse.ts'
import { usdAmount } from './usd-amount.ts'

export interface GuardrailRouteOptions {
  guardrails: Guardrails
  readJson: ReadJson
}

const limits = z.strictObject(
  Object.fromEntries(windowNames.map((name) => [name, usdAmount.nullable().optional()])) as Record<
    (typeof windowNames)[number],
    z.ZodOptional<z.ZodNullable<typeof usdAmount>>
  >,
)
export const limitsBody = z.strictObject({ limits })
export const checkBody = z.strictObject({ amount: usdAmount })

export function guardrailRoutes({ guardrails, readJson }: GuardrailRouteOptions) {
  const app = new Hono<AppEnv>()
  const show = async (c: AppContext) =>
    respondJson(c, 200, guardrailsOut(await guardrails.show(principalOf(c).accountId)))

  app.get('/', show)
  app.put('/', async (c) => {
    const body = parseOr400(limitsBody, (await readJson(c)).value)
    await guardrails.setLimits(principalOf(c).accountId, body.limits)
    return show(c)
  })
  app.post('/check', async (c) => {
    const { amount } = parseOr400(checkBody, (await readJson(c)).value)
    const { mode, blocked } = await guardrails.check(principalOf(c).accountId, amount)
    if (blocked && mode === 'enforce') throw guardrailExceeded(blocked)
    return respondJson(c, 200, { allowed: true, mode, ...(blocked && { would_exceed: blockedOut(blocked) }) })
  })
  return app
}

export const guardrailsOut = ({ mode, windows }: Awaited<ReturnType<Guardrails['show']>>) => ({
  enabled: mode !== 'off',
  mode,
  currency,
  windows: windows.map(windowOut),
})

const windowOut = ({ name, limit, spent, freesAtMinute }: WindowState) => ({
  name,
  limit: limit === undefined ? null : formatUsd(limit),
  spent: formatUsd(spent),
  frees_at: minuteOut(freesAtMinute),
})
