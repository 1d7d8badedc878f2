import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import worker from './main.ts'

const env = { ORIGINS: 'http://origin.test', EDGE_RATE_LIMIT_PER_MINUTE: '2' }
const cache = { match: async () => undefined, put: async () => {}, delete: async () => true }

beforeEach(() => {
  vi.stubGlobal('caches', { open: async () => cache })
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

test('a caller who leaves takes nothing with him of what the isolate knows, and is no error', async () => {
  const errors = vi.spyOn(console, 'error').mockReturnValue()
  const asked = Promise.withResolvers<void>()
  vi.stubGlobal('fetch', async ({ url, signal }: Request) => {
    if (!url.endsWith('/slow')) return new Response('page')
    asked.resolve()
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  const get = (path: string, init: RequestInit = {}) =>
    worker.fetch(new Request(`https://edge.test${path}`, init), env, { waitUntil() {} })
  const caller = new AbortController()
  const left = get('/slow', { signal: caller.signal })
  await asked.promise
  caller.abort()
  expect((await left).status).toBe(499)
  expect((await get('/page')).status).toBe(200)
  expect((await get('/page')).status).toBe(429)
  expect(errors).not.toHaveBeenCalled()
})

test('what nobody foresaw has its line in the log, with the id that the caller was told', async () => {
  const errors = vi.spyOn(console, 'error').mockReturnValue()
  vi.spyOn(crypto.subtle, 'digest').mockRejectedValue(new Error('no digest'))
  const headers = { 'x-api-key': 'ak_live_nobodys_key_at_all', 'cf-connecting-ip': '192.0.2.1' }
  const request = new Request('https://edge.test/page', { headers })
  const answer = await worker.fetch(request, env, { waitUntil() {} })
  expect([answer.status, (await answer.json()).code]).toEqual([500, 'internal'])
  const line = JSON.parse(String(errors.mock.calls[0]?.[0]))
  expect(line).toMatchObject({
    level: 'error',
    msg: 'unexpected error',
    request_id: answer.headers.get('x-request-id'),
  })
  expect(line.error).toContain('digest')
  expect(line.error).not.toContain('ak_live')
})
