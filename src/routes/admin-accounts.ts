/** Everybody's account, for administrators. Each change is logged with who made it. */
import { Hono } from 'hono'
import * as z from 'zod'
import { normalisedEmail, type User } from '../domain/user.ts'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, respondJson } from '../middleware/request-context.ts'
import type { Log } from '../ports.ts'
import type { AccountAdmin } from '../services/account-admin.ts'
import { accountLimitsOut } from '../services/limit-shapes.ts'
import { accountLimitsBody, accountLimitsIn } from './limits.ts'
import { count, parseOr400 } from './parse.ts'
import { passwordRule, printable, respondSecret, userOut } from './sign-in.ts'

export interface AdminAccountRouteOptions {
  accounts: AccountAdmin
  readJson: ReadJson
  log: Log
}

export const listQuery = z.strictObject({
  email: printable(z.string().min(1).max(254)).transform(normalisedEmail).optional(),
  cursor: z.uuid('must be the next_cursor of the page before').optional(),
  limit: count(200, 50),
})
export const patchBody = z
  .strictObject({
    disabled: z.boolean().optional(),
    role: z.enum(['user', 'administrator']).optional(),
    limits: accountLimitsBody.optional(),
    /** `true`: one is made, told in the answer, and good for a day. */
    reset_password: z
      .union([z.literal(true), passwordRule], { error: 'must be true, or 12 to 200 characters' })
      .optional(),
  })
  .refine((body) => Object.keys(body).length > 0, 'Nothing to change')

export function adminAccountRoutes({ accounts, readJson, log }: AdminAccountRouteOptions) {
  const app = new Hono<AppEnv>()

  app.get('/', async (c) => {
    const { email, cursor, limit } = parseOr400(listQuery, c.req.query(), 'invalid_query')
    const { users, nextCursor } = await accounts.list({ email, before: cursor, limit })
    return respondJson(c, 200, { accounts: users.map(accountOut), ...(nextCursor && { next_cursor: nextCursor }) })
  })

  app.get('/:id', async (c) => respondJson(c, 200, accountOut(await accounts.find(idOf(c)))))

  app.patch('/:id', async (c) => {
    const body = parseOr400(patchBody, (await readJson(c)).value)
    const { disabled, role, limits, reset_password: reset } = body
    const { accountId, keyId } = principalOf(c)
    const changed = await accounts.change(accountId, idOf(c), {
      disabled,
      role,
      limits: limits && accountLimitsIn(limits),
      password: reset === undefined ? undefined : reset === true ? 'make one' : { given: reset },
    })
    log.warn('account changed by an administrator', {
      request_id: c.get('request').id,
      account_id: accountId,
      key_id: keyId,
      detail: `${changed.user.accountId}: ${Object.keys(body).join(', ')}`,
    })
    const { temporaryPassword, temporaryUntil } = changed
    return respondSecret(c, 200, {
      ...accountOut(changed.user),
      ...(temporaryPassword && {
        temporary_password: temporaryPassword,
        temporary_password_expires_at: temporaryUntil?.toISOString(),
      }),
    })
  })
  return app
}

function idOf(c: AppContext): string {
  const id = z.uuid().safeParse(c.req.param('id'))
  if (!id.success) throw new ApiError('unknown_account')
  return id.data.toLowerCase()
}

const accountOut = (user: User) => ({
  ...userOut(user),
  disabled: user.disabledAt !== undefined,
  disabled_at: user.disabledAt?.toISOString() ?? null,
  limits: accountLimitsOut(user.limits),
})
