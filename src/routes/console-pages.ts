/**
 * The pages for people: `/admin` for operators, `/console` for customers. The page itself holds nothing; its script asks
 * the API as anybody does, with a credential that sits in a cookie which no script can read.
 */
import { Hono } from 'hono'
import * as z from 'zod'
import { ApiError } from '../errors.ts'
import { clientAddress } from '../middleware/client-address.ts'
import { sessionCookie, sessionCookieOf } from '../middleware/console-session.ts'
import type { Check } from '../middleware/guard.ts'
import { guard } from '../middleware/guard.ts'
import type { ReadJson } from '../middleware/json-body.ts'
import { type AppContext, type AppEnv, header, respond, respondJson, waitedFor } from '../middleware/request-context.ts'
import type { ConsoleFiles } from '../ports.ts'
import type { SignIn } from '../services/sign-in.ts'
import { parseOr400 } from './parse.ts'
import { passwordGiven, printable, userOut } from './sign-in.ts'

export interface ConsoleRouteOptions {
  /** Absent where the runtime has none: then there is no such page. */
  files: ConsoleFiles | undefined
  signIn: SignIn
  /** Of small bodies. */
  readJson: ReadJson
  trustedHops: number
  /** Cookies are sent over TLS alone. */
  secure: boolean
  /** Who counts strangers, and who refuses them. */
  strangers: Check[]
}

const body = z.union([
  z.strictObject({ email: printable(z.string().min(1).max(254)), password: passwordGiven }),
  z.strictObject({ api_key: z.string().regex(/^[\x21-\x7e]{20,200}$/, 'must be an API key') }),
])

/** Nothing from elsewhere, nothing inline, and no other page around it. */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
}

export function consoleRoutes({ files, signIn, readJson, trustedHops, secure, strangers }: ConsoleRouteOptions) {
  const app = new Hono<AppEnv>()

  const send = (c: AppContext, name: string) => {
    const file = files?.(name)
    if (!file) throw new ApiError('unknown_route', { message: `There is no file ${name.slice(0, 100)}.` })
    const headers = { ...pageHeaders, 'content-type': file.type, etag: file.etag, 'cache-control': 'no-cache' }
    if (header(c, 'if-none-match') === file.etag) return respond(c, 304, headers, null)
    return respond(c, 200, headers, file.bytes)
  }
  for (const path of ['/admin', '/console']) app.get(path, (c) => send(c, 'index.html'))
  app.get('/console/assets/:name', (c) => send(c, c.req.param('name')))

  // Whether there is one at all: a question that would be refused shows as an error in a browser.
  app.get('/console/session', (c) => {
    c.get('request').headers['cache-control'] = 'no-store'
    return respondJson(c, 200, { signed_in: sessionCookie(c) !== undefined })
  })
  app.post('/console/session', guard(...strangers), async (c) => {
    const asked = parseOr400(body, (await readJson(c)).value)
    const { headers } = c.get('request')
    headers['cache-control'] = 'no-store'
    if ('api_key' in asked) {
      // Whether it is one the first question tells.
      headers['set-cookie'] = sessionCookieOf(asked.api_key, secure)
      return respondJson(c, 200, { user: null })
    }
    const { user, tokens } = await waitedFor(c, signIn.signIn(asked, clientAddress(c, trustedHops)))
    headers['set-cookie'] = sessionCookieOf(tokens.accessToken, secure)
    return respondJson(c, 200, { user: userOut(user) })
  })
  app.delete('/console/session', async (c) => {
    const credential = sessionCookie(c)
    c.get('request').headers['set-cookie'] = sessionCookieOf('', secure)
    // An API key is only forgotten; a session ends.
    if (credential?.includes('.')) await signIn.signOut({ accessToken: credential }).catch(ignoreEnded)
    return respond(c, 204, {}, null)
  })
  return app
}

/** Signed out twice, or of a session that is over: it is what was asked for. */
function ignoreEnded(error: unknown) {
  if (!(error instanceof ApiError) || error.code !== 'invalid_credential') throw error
}
