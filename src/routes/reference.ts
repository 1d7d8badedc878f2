/** What the API is, for tools and for people. Anybody may read it, and any cache keep it. */
import { Hono } from 'hono'
import { ApiError } from '../errors.ts'
import { forAll } from '../middleware/for-all.ts'
import { type AppContext, type AppEnv, header, respond } from '../middleware/request-context.ts'

export type ReferenceFileName = 'openapi.json' | 'docs' | 'style.css' | 'icon.svg'

export interface ReferenceFile {
  contentType: string
  /** UTF-8. */
  bytes: Uint8Array
  etag: string
}

export interface ReferenceRouteOptions {
  file(name: ReferenceFileName): Promise<ReferenceFile>
}

/** Nothing from elsewhere, no script at all, and in nobody's frame. */
const forTheEdge = forAll('docs', 300)
const policy = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

export function referenceRoutes({ file }: ReferenceRouteOptions) {
  const app = new Hono<AppEnv>()

  async function send(c: AppContext, name: ReferenceFileName): Promise<Response> {
    const { contentType, bytes, etag } = await file(name)
    const headers = {
      etag,
      'cache-control': 'public, max-age=300',
      ...forTheEdge,
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    }
    if (knows(header(c, 'if-none-match'), etag)) return respond(c, 304, headers, null)
    const own = { 'content-type': contentType, 'content-length': String(bytes.length) }
    return respond(c, 200, { ...headers, ...own }, bytes)
  }
  app.get('/openapi.json', (c) => send(c, 'openapi.json'))
  app.get('/docs', (c) => send(c, 'docs'))
  app.get('/docs/:file', (c) => {
    const name = c.req.param('file')
    if (name === 'style.css' || name === 'icon.svg') return send(c, name)
    throw new ApiError('unknown_route')
  })
  return app
}

/** Weak comparison, as `If-None-Match` has it (RFC 9110, 13.1.2). */
const knows = (given: string | undefined, etag: string) =>
  given?.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === etag) ?? false
