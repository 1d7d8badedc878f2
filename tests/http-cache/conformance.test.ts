import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { serve } from '@hono/node-server'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createHttpCache, type HttpCache } from '../../src/cache/http/http-cache.ts'
import { createMemoryStore } from '../../src/cache/http/memory-store.ts'
import { createMemoryTier } from '../../src/cache/memory-tier.ts'
import { cases } from './cases.ts'
import { type CacheUnderTest, runCase } from './run-case.ts'
import { startScriptedOrigin } from './scripted-origin.ts'

let target: CacheUnderTest & { close(): Promise<void> }

beforeAll(async () => {
  target = await startNodeCache()
})
afterAll(() => target.close())

describe.each([...new Set(cases.map(({ section }) => section))])('RFC 9111, section %s', (section) => {
  test.each(
    cases.filter((each) => each.section === section).map((each, i) => [`${each.level} ${each.name}`, each, i] as const),
  )('%s', async (_, each, i) => {
    expect(await runCase(each, `/case/${section.replaceAll(/\W/g, '-')}/${i}`, target)).toEqual([])
  })
})

/** The cache on Node, over real sockets on both sides. */
async function startNodeCache() {
  const origin = await startScriptedOrigin()
  const pending = new Set<Promise<void>>()
  const cache: HttpCache = createHttpCache({
    store: createMemoryStore(createMemoryTier({ maxBytes: 16 * 1024 * 1024 })),
    wallNow: Date.now,
    background(work) {
      pending.add(work)
      void work.finally(() => pending.delete(work))
    },
    refuse: () => new Response(null, { status: 504 }),
  })
  const next = async (asked: Request): Promise<Response> => {
    const url = new URL(asked.url)
    const answer = await request(origin.url + url.pathname + url.search, {
      method: asked.method as 'GET',
      headers: Object.fromEntries(asked.headers),
      body: asked.body ? Buffer.from(await asked.arrayBuffer()) : null,
    })
    const headers = new Headers()
    for (const [name, value] of Object.entries(answer.headers))
      for (const each of [value ?? []].flat()) headers.append(name, each)
    const hasBody = ![204, 304].includes(answer.statusCode)
    if (!hasBody) await answer.body.dump()
    return new Response(hasBody ? (Readable.toWeb(answer.body) as ReadableStream<Uint8Array>) : null, {
      status: answer.statusCode,
      headers,
    })
  }
  const cached = serve({
    fetch: async (asked) => {
      try {
        return (await cache.handle(asked, next)).response
      } catch {
        return new Response(null, { status: 502 })
      }
    },
    hostname: '127.0.0.1',
    port: 0,
  })
  await new Promise<void>((resolve) => cached.once('listening', () => resolve()))
  const { port } = cached.address() as AddressInfo
  return {
    origin,
    async settled() {
      await Promise.all(pending)
    },
    async ask(path: string, init: { method: string; headers: Record<string, string>; body?: string }) {
      return origin.through(`http://127.0.0.1:${port}${path}`, init)
    },
    async close() {
      await new Promise((resolve) => cached.close(resolve))
      await origin.close()
    },
  }
}
