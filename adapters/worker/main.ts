/** The worker at the edge: what its runtime has for the ports of `src/edge.ts`. */
import { loadEdgeConfig } from '../../src/edge/config.ts'
import { createEdge, type Edge } from '../../src/edge.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import { createCacheApiStore } from './cache-store.ts'
import { digest, newId } from './identity.ts'
import { passOrThrow } from './origin-errors.ts'

interface ExecutionContext {
  waitUntil(work: Promise<unknown>): void
}

let edge: Promise<Edge> | undefined

/** At the first request: a runtime of workers lets nothing be drawn, opened or timed before. */
async function start(env: Record<string, unknown>): Promise<Edge> {
  return createEdge(loadEdgeConfig(env), {
    clock: systemClock,
    random: Math.random,
    newId,
    digest,
    ask: async (request) => passOrThrow(await fetch(request)),
    store: createCacheApiStore(await caches.open('aiserve-gpuproxy')),
    onUnexpected: (error, requestId) => logError('unexpected error', error, { request_id: requestId }),
  })
}

function logError(msg: string, error: unknown, fields: Record<string, string> = {}) {
  const text = error instanceof Error ? error.stack : undefined
  console.error(JSON.stringify({ level: 'error', msg, ...fields, error: text ?? String(error) }))
}

export default {
  async fetch(request: Request, env: Record<string, unknown>, context: ExecutionContext): Promise<Response> {
    edge ??= start(env).catch((error: unknown) => {
      edge = undefined
      throw error
    })
    try {
      return await (await edge).fetch(request, {
        address: request.headers.get('cf-connecting-ip') ?? '',
        background: (work) => context.waitUntil(work),
      })
    } catch (error) {
      // Nobody is there to read it.
      if (request.signal.aborted) return new Response(null, { status: 499 })
      logError('the edge cannot answer', error)
      return new Response('{"title":"internal","status":500,"code":"internal"}', {
        status: 500,
        headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
      })
    }
  },
}
