/** What people do who are not known yet, or want to be no longer. Answers hold secrets, so nobody may keep them. */
import { Hono } from 'hono'
import * as z from 'zod'
import { isGoodPassword, type User } from '../domain/user.ts'
import { credential } from '../middleware/authenticate.ts'
import { clientAddress } from '../middleware/client-address.ts'
import { type ReadJson, valueOrNone } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, header, respond, respondJson, waitedFor } from '../middleware/request-context.ts'
import type { SignIn, Tokens } from '../services/sign-in.ts'
import { parseOr400 } from './parse.ts'

export interface SignInRouteOptions {
  signIn: SignIn
  /** Of small bodies. */
  readJson: ReadJson
  trustedHops: number
}

/**
 * Line breaks and the like would be somebody else's trouble later, PostgreSQL keeps no NUL, and half of a surrogate pair
 * is no text: it would come back as another one.
 */
const isPrintable = (text: string) => /^[^\p{Cc}\p{Cs}]*$/u.test(text)
export const printable = (text: z.ZodString) => text.refine(isPrintable, 'must not hold control characters')
export const nameRule = printable(z.string().trim().min(1).max(100))
export const passwordRule = z.string().refine(isGoodPassword, 'must have 12 to 200 characters')

/** Checked by length alone: what was let in once must go on working. */
export const passwordGiven = z.string().min(1).max(800)
const email = z.string().trim().max(254).pipe(z.email('must be an email address'))
const refreshToken = z.string().min(1).max(400)
export const registerBody = z.strictObject({ email, name: nameRule.optional(), password: passwordRule })
export const loginBody = z.strictObject({ email: printable(z.string().min(1).max(254)), password: passwordGiven })
export const refreshBody = z.strictObject({ refresh_token: refreshToken })

export function signInRoutes({ signIn, readJson, trustedHops }: SignInRouteOptions) {
  const app = new Hono<AppEnv>()

  app.post('/register', async (c) => {
    const { name = '', ...person } = parseOr400(registerBody, (await readJson(c)).value)
    // A mailbox without a name is called by its first half.
    const registered = signIn.register({ ...person, name: name || person.email.split('@')[0]! })
    const user = await waitedFor(c, registered)
    return respondSecret(c, 201, { user: userOut(user) })
  })
  app.post('/login', async (c) => {
    const credentials = parseOr400(loginBody, (await readJson(c)).value)
    const { user, tokens } = await waitedFor(c, signIn.signIn(credentials, clientAddress(c, trustedHops)))
    return respondSecret(c, 200, { user: userOut(user), tokens: tokensOut(tokens) })
  })
  app.post('/refresh', async (c) => {
    const { refresh_token: token } = parseOr400(refreshBody, (await readJson(c)).value)
    return respondSecret(c, 200, { tokens: tokensOut(await signIn.renew(token)) })
  })
  app.post('/logout', async (c) => {
    if ((header(c, 'authorization') ?? header(c, 'x-api-key')) !== undefined) {
      parseOr400(refreshBody.partial(), await valueOrNone(c, readJson))
      await signIn.signOut({ accessToken: credential(c) })
    } else {
      const { refresh_token: token } = parseOr400(refreshBody, (await readJson(c)).value)
      await signIn.signOut({ refreshToken: token })
    }
    return respond(c, 204, {}, null)
  })
  return app
}

/** Neither a cache on the way nor the browser's may keep it. */
export function respondSecret(c: AppContext, status: number, value: unknown): Response {
  c.get('request').headers['cache-control'] = 'no-store'
  return respondJson(c, status, value)
}

export const userOut = ({ accountId, email, name, role, createdAt }: User) => ({
  id: accountId,
  email: email ?? null,
  name,
  role,
  created_at: createdAt.toISOString(),
})

const tokensOut = ({ accessToken, refreshToken, expiresAt }: Tokens) => ({
  access_token: accessToken,
  refresh_token: refreshToken,
  expires_at: expiresAt.toISOString(),
})
