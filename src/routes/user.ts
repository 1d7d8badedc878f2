/** One's own account. */
import { Hono } from 'hono'
import * as z from 'zod'
import { ApiError } from '../errors.ts'
import { principalOf } from '../middleware/authenticate.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppEnv, respond, respondJson, waitedFor } from '../middleware/request-context.ts'
import type { Users } from '../ports.ts'
import type { SignIn } from '../services/sign-in.ts'
import { parseOr400 } from './parse.ts'
import { passwordGiven, passwordRule, userOut } from './sign-in.ts'

export interface UserRouteOptions {
  users: Pick<Users, 'find'>
  signIn: Pick<SignIn, 'changePassword' | 'closeAccount'>
  readJson: ReadJson
}

export const changeBody = z.strictObject({ password: passwordGiven, new_password: passwordRule })
export const closeBody = z.strictObject({ password: passwordGiven })

export function userRoutes({ users, signIn, readJson }: UserRouteOptions) {
  const app = new Hono<AppEnv>()

  app.get('/', async (c) => {
    const user = await users.find(principalOf(c).accountId)
    if (!user) throw new ApiError('unknown_account')
    return respondJson(c, 200, { user: userOut(user) })
  })
  app.put('/password', async (c) => {
    const { password, new_password: newPassword } = parseOr400(changeBody, (await readJson(c)).value)
    await waitedFor(c, signIn.changePassword(principalOf(c), { password, newPassword }))
    return respond(c, 204, {}, null)
  })
  app.delete('/', async (c) => {
    const { password } = parseOr400(closeBody, (await readJson(c)).value)
    await waitedFor(c, signIn.closeAccount(principalOf(c), password))
    return respond(c, 204, {}, null)
  })
  return app
}
