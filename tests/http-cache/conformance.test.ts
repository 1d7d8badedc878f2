import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createHttpCache, type HttpCache } from '../../src/cache/http/http-cache.ts'
import { createMemoryStore } from '../../src/cache/http/memory-store.ts'
import { createMemoryTier } from '../../src/cache/memory-tier.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import { bodyStream } from '../support/edge-node.ts'
import { startEdgeWorker } from '../support/edge-worker.ts'
import { cases } from './cases.ts'
import { type CacheUnderTest, runCase } from './run-case.ts'
import { startScriptedOrigin } from './scripted-origin.ts'

type Target = CacheUnderTest & { close(): Promise<void> }

describe.each([
  ['on Node', startNodeCache],
  ['in the worker runtime', startWorkerCache],
])('the HTTP cache %s', (_, start) => {
  let target: Target

  beforeAll(async () => {
    target = await start()
  })
  afterAll(() => target.close())

  test.each(cases.map((each, i) => [`section ${each.section}, ${each.level}: ${each.name}`, each, i] as const))(
    '%s',
    async (_title, each, i) => {
      expect(await runCase(each, `/case/${i}`, target)).toEqual([])
    },
  )
})

/** By itself, over real sockets on both sides. */
async function startNodeCache(): Promise<Target> {
  const origin = await startScriptedOrigin()
  const pending = new Set<Promise<void>>()
  const background = (work: Promise<void>) => {
    pending.add(work)
    void work.finally(() => pending.delete(work))
  }
  const cache: HttpCache = createHttpCache({
    store: createMemoryStore(createMemoryTier({ maxBytes: 16 * 1024 * 1024 })),
    clock: systemClock,
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
    for (const [name, value] of Object.entries(answer.headers)) {
      for (const each of [value ?? []].flat()) headers.append(name, each)
    }
    const hasBody = ![204, 304].includes(answer.statusCode)
    if (!hasBody) await answer.body.dump()
    return new Response(hasBody ? bodyStream(answer.body) : null, { status: answer.statusCode, headers })
  }
  const server = serve({
    fetch: async (asked) => {
      try {
        return (await cache.handle(asked, next, { background })).response
      } catch {
        return new Response(null, { status: 502 })
      }
    },
    hostname: '127.0.0.1',
    port: 0,
  })
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  const { port } = server.address() as AddressInfo
  return {
    origin,
    ask: (path, init) => origin.through(`http://127.0.0.1:${port}${path}`, init),
    async settled() {
      await Promise.all(pending)
    },
    async close() {
      await new Promise((resolve) => server.close(resolve))
      await origin.close()
    },
  }
}

/** The whole edge, whose door lets all of this through, over the runtime's Cache API. */
async function startWorkerCache(): Promise<Target> {
  const origin = await startScriptedOrigin()
  const edge = await startEdgeWorker({ ORIGINS: origin.url, EDGE_RATE_LIMIT_PER_MINUTE: '1000000' })
  return {
    origin,
    ask: (path, init) => origin.through(edge.url + path, init),
    async settled(path, headers) {
      // What goes on after an answer cannot be seen from outside; that it has ended can: the answer is there. Where there
      // will be none, so many questions are time enough.
      for (let i = 0; i < 25; i++) {
        const asked = { ...headers, 'cache-control': 'only-if-cached, max-stale' }
        const { status } = await origin.through(edge.url + path, { method: 'GET', headers: asked })
        if (status !== 504) return
      }
    },
    async close() {
      await edge.close()
      await origin.close()
    },
  }
}
