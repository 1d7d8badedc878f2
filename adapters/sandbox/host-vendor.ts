/**
 * What a rented machine serves: OpenAI's API for the one model that it was told to load, as vLLM does
 * (https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html), and `/echo` and `/slow` for tests of the way to it.
 */
import type { Clock } from '../../src/ports.ts'
import { createOpenai } from './openai.ts'
import { openaiError } from './openai-errors.ts'
import type { Answer, Step } from './send.ts'
import { isRecord, jsonAnswer, type Vendor, type VendorCall } from './vendor.ts'

interface HostOptions {
  clock: Clock
  random: () => number
  wordIntervalMs: number
  args: readonly string[]
  env: Readonly<Record<string, string>>
  /** Of the container. */
  port: number
}

export function createHostVendor({ clock, random, wordIntervalMs, args, env, port }: HostOptions): Vendor {
  const model = modelOf(args, env)
  const key = option(args, '--api-key') ?? env.VLLM_API_KEY
  const openai = createOpenai({ clock, random, key, wordIntervalMs, answerDelayMs: 0 })
  const created = Math.floor(clock.wallNow() / 1000)

  function serveModel(call: VendorCall): Answer {
    const { headers, path, body } = call
    if (path === '/v1/models' && (key === undefined || headers.authorization === `Bearer ${key}`)) {
      const data = model === undefined ? [] : [{ id: model, object: 'model', created, owned_by: 'vllm' }]
      return jsonAnswer(200, { object: 'list', data })
    }
    const asked = isRecord(body) ? body.model : undefined
    if (model !== undefined && typeof asked === 'string' && asked !== model) {
      const message = `The model \`${asked}\` does not exist.`
      return openaiError(404, { message, type: 'NotFoundError', param: 'model' })
    }
    return openai.answer(call)
  }

  return {
    answer(call) {
      const { path, query } = call
      if (path === '/health') return { status: 200, headers: {}, body: '' }
      if (path === '/echo' || path.startsWith('/echo/')) return echo(call, port)
      if (path === '/slow') return { status: 200, headers: { 'content-type': 'text/event-stream' }, body: slow(query) }
      return path.startsWith('/v1/') ? serveModel(call) : jsonAnswer(404, { detail: 'Not Found' })
    },
    error: openai.error,
  }
}

/** `path` is byte for byte what came. */
function echo({ method, url, headers, body = null }: VendorCall, port: number): Answer {
  return jsonAnswer(200, { method, path: url, headers, body, port })
}

/** `?chunks=&ms=`: so many events, so many ms before each. */
function* slow(query: URLSearchParams): Generator<Step> {
  const chunks = Math.min(Number(query.get('chunks') ?? 10), 10_000)
  const waitMs = Math.min(Number(query.get('ms') ?? 100), 60_000)
  for (let n = 0; n < chunks; n++) yield { waitMs, data: `data: ${n}\n\n` }
}

/** Undefined: it was told none, and answers for any. */
function modelOf(args: readonly string[], env: Readonly<Record<string, string>>): string | undefined {
  const [first] = args.filter((word) => word !== 'vllm' && word !== 'serve')
  return (
    option(args, '--served-model-name') ??
    option(args, '--model') ??
    env.MODEL ??
    (first?.startsWith('-') ? undefined : first)
  )
}

function option(args: readonly string[], name: string): string | undefined {
  const at = args.findIndex((word) => word === name || word.startsWith(`${name}=`))
  const word = args[at]
  return word === name ? args[at + 1] : word?.slice(name.length + 1)
}
