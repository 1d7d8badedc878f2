/** The edge in Node: the same composition as the worker's, with the memory tier for a store and undici for a network. */
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { Agent, type Dispatcher, request } from 'undici'
import { digest, newId } from '../../adapters/worker/identity.ts'
import { createMemoryStore } from '../../src/cache/http/memory-store.ts'
import { createMemoryTier } from '../../src/cache/memory-tier.ts'
import { loadEdgeConfig } from '../../src/edge/config.ts'
import { NotSent } from '../../src/edge/regions.ts'
import { createEdge } from '../../src/edge.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import type { RunningEdge } from './edge-worker.ts'

const notSent = new Set(['ECONNREFUSED', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT'])

export async function startEdgeNode(env: Record<string, string>): Promise<RunningEdge> {
  const agent = new Agent({ pipelining: 1 })
  const edge = createEdge(loadEdgeConfig(env), {
    clock: systemClock,
    random: Math.random,
    newId,
    digest,
    ask: (asked) => ask(asked, agent),
    store: createMemoryStore(createMemoryTier({ maxBytes: 16 * 1024 * 1024 })),
    onUnexpected: (error) => console.error(error),
  })
  const context = { address: '127.0.0.1', background: (_work: Promise<unknown>) => {} }
  const server = serve({ fetch: (asked) => edge.fetch(asked, context), hostname: '127.0.0.1', port: 0 })
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      await new Promise((resolve) => server.close(resolve))
      await agent.close()
    },
  }
}

async function ask(asked: Request, dispatcher: Dispatcher): Promise<Response> {
  const body = asked.body ? new Uint8Array(await asked.arrayBuffer()) : null
  const answer = await request(asked.url, {
    method: asked.method as 'GET',
    headers: Object.fromEntries(asked.headers),
    body,
    dispatcher,
    signal: asked.signal,
  }).catch((error: Error & { code?: string }) => {
    throw notSent.has(error.code ?? '') ? new NotSent('the region cannot be reached', { cause: error }) : error
  })
  const headers = new Headers()
  for (const [name, value] of Object.entries(answer.headers)) {
    for (const each of [value ?? []].flat()) headers.append(name, each)
  }
  const hasBody = ![204, 205, 304].includes(answer.statusCode)
  if (!hasBody) await answer.body.dump()
  return new Response(hasBody ? bodyStream(answer.body) : null, { status: answer.statusCode, headers })
}

export function bodyStream(body: Dispatcher.ResponseData['body']): ReadableStream<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await chunks.return?.()
    },
  })
}
