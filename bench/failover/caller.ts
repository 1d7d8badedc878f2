/** One call as a careful client makes it: everything that comes back is kept, so that it can be judged. */
import { createParser } from 'eventsource-parser'

export interface Ask {
  url: string
  apiKey: string
  model: string
  /** Tried after the model's own targets, as the request itself says. */
  fallbacks?: readonly string[]
  /** A call that takes longer than this hangs. */
  limitMs: number
}

export interface Seen {
  /** 0 = no answer at all. */
  status: number
  headers: Headers
  /** Time to the end, in ms. */
  ms: number
  text: string
  finish: string | undefined
  /** As the last event that names one tells. */
  model: string | undefined
  usage: { prompt_tokens?: number; completion_tokens?: number } | undefined
  done: boolean
  /** Of an error answer or an error event. */
  error: { code?: unknown; message?: unknown } | undefined
  /** How it ended otherwise than it should have: the time was up, the connection broke, an event was no JSON. */
  broken: string | undefined
}

export async function ask({ url, apiKey, model, fallbacks, limitMs }: Ask): Promise<Seen> {
  const seen: Seen = {
    status: 0,
    headers: new Headers(),
    ms: 0,
    text: '',
    finish: undefined,
    model: undefined,
    usage: undefined,
    done: false,
    error: undefined,
    broken: undefined,
  }
  const since = performance.now()
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({
        model,
        ...(fallbacks && { fallbacks }),
        messages: [{ role: 'user', content: 'Say the sixty words.' }],
        stream: true,
        stream_options: { include_usage: true },
      }),
      signal: AbortSignal.timeout(limitMs),
    })
    seen.status = response.status
    seen.headers = response.headers
    if (response.headers.get('content-type')?.startsWith('text/event-stream')) await readStream(response, seen)
    else seen.error = ((await response.json()) as { error?: Seen['error'] }).error
  } catch (error) {
    const { name, message, cause } = error as Error & { cause?: Error }
    seen.broken = name === 'TimeoutError' ? `no end within ${limitMs / 1000} s` : (cause?.message ?? message)
  }
  seen.ms = performance.now() - since
  return seen
}

interface Chunk {
  model?: string
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[]
  usage?: Seen['usage'] | null
  error?: Seen['error']
}

async function readStream(response: Response, seen: Seen): Promise<void> {
  const parser = createParser({
    onEvent({ data }) {
      if (seen.done) seen.broken ??= 'an event after [DONE]'
      if (data === '[DONE]') {
        seen.done = true
        return
      }
      const chunk = parse(data)
      if (!chunk) {
        seen.broken ??= 'an event that is no JSON'
        return
      }
      if (chunk.error) seen.error = chunk.error
      seen.model = chunk.model ?? seen.model
      seen.usage = chunk.usage ?? seen.usage
      const [choice] = chunk.choices ?? []
      seen.text += choice?.delta?.content ?? ''
      seen.finish = choice?.finish_reason ?? seen.finish
    },
  })
  const decoder = new TextDecoder()
  for await (const bytes of response.body ?? []) parser.feed(decoder.decode(bytes, { stream: true }))
}

function parse(data: string): Chunk | undefined {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}
