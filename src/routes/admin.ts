/** What administrators see and set. Each change is logged with who made it. */
import { Hono } from 'hono'
import * as z from 'zod'
import { principalOf, type StillGood } from '../middleware/authenticate.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respond, respondJson } from '../middleware/request-context.ts'
import type { Log, WriteMode, WriteModeStatus } from '../ports.ts'
import type { BreakerRow, Breakers } from '../services/breakers.ts'
import { type FaultInForce, type Faults, type FaultToSet, faultKinds } from '../services/faults.ts'
import type { Live } from '../services/live.ts'
import type { RecentRequests } from '../services/recent-requests.ts'
import { count, parseOr400 } from './parse.ts'

export interface AdminRouteOptions {
  breakers: Breakers
  faults: Faults
  writeMode: WriteMode
  live: Live
  stillGood: StillGood
  recent: RecentRequests
  readJson: ReadJson
  log: Log
}

export const breakerBody = z.strictObject({ state: z.enum(['auto', 'open', 'closed']) })

export const modeBody = z.strictObject({ read_only: z.boolean() })

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 }
const maxFaultMs = unitMs.h
const durationRule = 'must be a duration such as "30s", "10m" or "1h", or a number of seconds'
const duration = z
  .union(
    [
      z.number().transform((seconds) => seconds * unitMs.s),
      z
        .string()
        .regex(/^\d{1,6}(s|m|h)$/)
        .transform((text) => Number(text.slice(0, -1)) * unitMs[text.at(-1) as keyof typeof unitMs]),
    ],
    { error: durationRule },
  )
  .pipe(z.number().min(1_000, 'must be "1s" or more').max(maxFaultMs, 'must be "1h" or less'))

const everyFault = {
  target: z.string().min(1).max(300),
  share: z.number().min(0).max(1),
  /** Told in the answer where it is left out. */
  seed: z.int().min(0).max(0xffff_ffff).optional(),
  expires_in: duration,
}
const events = z.int().min(0).max(1_000_000).optional()
export const faultBody = z.strictObject({
  faults: z
    .array(
      z.discriminatedUnion(
        'kind',
        [
          z.strictObject({ ...everyFault, kind: z.enum(['cut', 'stall', 'malformed']), after_tokens: events }),
          z.strictObject({ ...everyFault, kind: z.enum(['no_done', 'reset', 'price_spike']) }),
          z.strictObject({ ...everyFault, kind: z.literal('429'), retry_after: z.int().min(0).max(3_600).optional() }),
          z.strictObject({ ...everyFault, kind: z.literal('slow'), ms: z.int().min(1).max(600_000).optional() }),
        ],
        { error: `must be one of ${faultKinds.join(', ')}` },
      ),
    )
    .max(32),
})

export const requestsQuery = z.strictObject({
  q: z.string().max(100).default(''),
  limit: count(200, 50),
})

export function adminRoutes({
  breakers,
  faults,
  writeMode,
  live,
  stillGood,
  recent,
  readJson,
  log,
}: AdminRouteOptions) {
  const app = new Hono<AppEnv>()

  app.get('/breakers', (c) => respondJson(c, 200, { breakers: breakers.list().map(breakerOut) }))
  // Names hold a colon, and those of models may hold a slash.
  app.put('/breakers/:name{.+}', async (c) => {
    const { state } = parseOr400(breakerBody, (await readJson(c)).value)
    const row = breakers.set(c.req.param('name'), state)
    log.warn('circuit breaker set by an administrator', { ...who(c), breaker: row.name, state })
    return respondJson(c, 200, breakerOut(row))
  })

  app.get('/live', (c) => {
    const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' }
    return respond(c, 200, headers, live.watch(c.req.raw.signal, stillGood(c)))
  })
  app.get('/requests', (c) => {
    const { q: text, limit } = parseOr400(requestsQuery, c.req.query(), 'invalid_query')
    const requests = recent
      .find({ text, limit })
      .map(({ at, ...rest }) => ({ at: new Date(at).toISOString(), ...rest }))
    return respondJson(c, 200, { requests })
  })

  app.get('/faults', (c) => respondJson(c, 200, { faults: faults.list().map(faultOut) }))
  app.put('/faults', async (c) => {
    const body = parseOr400(faultBody, (await readJson(c)).value)
    const inForce = faults.set(body.faults.map(faultIn))
    const detail = inForce.map(({ target, kind, share }) => `${target} ${kind} ${share}`).join(', ')
    log.warn('faults set by an administrator', { ...who(c), detail: detail || 'none' })
    return respondJson(c, 200, { faults: inForce.map(faultOut) })
  })

  app.get('/mode', (c) => respondJson(c, 200, modeOut(writeMode.status())))
  app.put('/mode', async (c) => {
    const { read_only: readOnly } = parseOr400(modeBody, (await readJson(c)).value)
    const status = await writeMode.set(readOnly)
    log.warn('mode set by an administrator', { ...who(c), state: readOnly ? 'read_only' : 'read_write' })
    return respondJson(c, 200, modeOut(status))
  })
  return app
}

export function who(c: AppContext) {
  const { accountId, keyId } = principalOf(c)
  return { request_id: c.get('request').id, account_id: accountId, key_id: keyId }
}

const breakerOut = ({ name, state, failureRate, calls, nextProbeAt, pods }: BreakerRow) => ({
  name,
  state,
  failure_rate: failureRate,
  calls,
  next_probe_at: nextProbeAt?.toISOString() ?? null,
  pods,
})

const modeOut = ({ readOnly, reason, since, stored }: WriteModeStatus) => ({
  read_only: readOnly,
  reason: reason ?? null,
  since: since?.toISOString() ?? null,
  stored,
})

type FaultIn = z.infer<typeof faultBody>['faults'][number]

function faultIn({ target, kind, share, seed, expires_in: expiresInMs, ...own }: FaultIn): FaultToSet {
  return {
    target,
    kind,
    share,
    seed,
    expiresInMs,
    ...('after_tokens' in own && { afterTokens: own.after_tokens }),
    ...('retry_after' in own && { retryAfterS: own.retry_after }),
    ...('ms' in own && { delayMs: own.ms }),
  }
}

const faultOut = (fault: FaultInForce) => ({
  target: fault.target,
  kind: fault.kind,
  share: fault.share,
  seed: fault.seed,
  after_tokens: fault.afterTokens,
  retry_after: fault.retryAfterS,
  ms: fault.delayMs,
  expires_at: new Date(fault.expiresAtMs).toISOString(),
})
