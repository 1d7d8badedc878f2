import { afterEach, expect, test, vi } from 'vitest'
import worker from './main.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

test('a caller who leaves takes nothing with him of what the isolate knows, and is no error', async () => {
  const errors = vi.spyOn(console, 'error').mockReturnValue()
  const cache = { match: async () => undefined, put: async () => {}, delete: async () => true }
  vi.stubGlobal('caches', { open: async () => cache })
  const asked = Promise.withResolvers<void>()
  vi.stubGlobal('fetch', async ({ url, signal }: Request) => {
    if (!url.endsWith('/slow')) return new Response('page')
    asked.resolve()
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  const env = { ORIGINS: 'http://origin.test', EDGE_RATE_LIMIT_PER_MINUTE: '2' }
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
