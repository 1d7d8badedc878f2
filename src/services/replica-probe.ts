/** Asks a rented machine whether it serves the model: OpenAI's list of models, which costs it nothing. */
import * as z from 'zod'
import { type Clock, type HttpClient, HttpFailure } from '../ports.ts'

/** False: it does not answer, or with something else. */
export type ReplicaProbe = (origin: string, model: string, apiKey: string, signal: AbortSignal) => Promise<boolean>

const timeoutMs = 5_000
const maxBytes = 1024 * 1024
const modelList = z.object({ data: z.array(z.object({ id: z.string() })) })
const decoder = new TextDecoder()

export function createReplicaProbe({ http, clock }: { http: HttpClient; clock: Clock }): ReplicaProbe {
  return async function probe(origin, model, apiKey, signal) {
    const controller = new AbortController()
    const cancel = clock.setTimer(timeoutMs, () => controller.abort(new HttpFailure('headers_timeout')))
    try {
      const reply = await http.bytes({
        method: 'GET',
        origin,
        path: '/v1/models',
        headers: { authorization: `Bearer ${apiKey}`, 'accept-encoding': 'identity', 'user-agent': 'aiserve-gpuproxy' },
        signal: AbortSignal.any([signal, controller.signal]),
        headersTimeoutMs: timeoutMs,
        idleTimeoutMs: timeoutMs,
        maxBytes,
      })
      if (reply.status !== 200) return false
      return modelList.parse(JSON.parse(decoder.decode(reply.body))).data.some(({ id }) => id === model)
    } catch (error) {
      // Whatever else listens there, or does not: it is not our server. An end of the whole round is no answer either.
      if (signal.aborted) throw error
      return false
    } finally {
      cancel()
    }
  }
}
