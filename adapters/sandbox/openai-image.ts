/** OpenAI's images: one dot, as base64 or behind a URL; the GPT image models count tokens and stream. */
import type { CompletionContext } from './openai-completion.ts'
import { eventStep } from './openai-event.ts'
import { countWords, invalid, isInteger, missing, outOfRange } from './openai-request.ts'
import type { Step } from './send.ts'
import type { WholeAnswer } from './vendor.ts'

export interface ImageRequest {
  gpt: boolean
  n: number
  asUrl: boolean
  stream: boolean
  partialImages: number
  inputTokens: number
  look: { background: unknown; output_format: unknown; quality: unknown; size: unknown }
}

/** A transparent PNG of one dot. */
const dot = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const imageTokens = 272
const maxImages = 10
const maxPartialImages = 3

export function readImageRequest(body: Record<string, unknown>): ImageRequest | WholeAnswer {
  const { model, prompt, n, response_format: format, stream, partial_images: partial } = body
  const gpt = /^(?:chat)?gpt-image/.test(String(model))
  if (prompt === undefined) return missing('prompt')
  if (typeof prompt !== 'string' || prompt === '') {
    return invalid('prompt', "Invalid type for 'prompt': expected a string that is not empty.", 'invalid_type')
  }
  const most = model === 'dall-e-3' ? 1 : maxImages
  if (n != null && !isInteger(n, 1, most)) return outOfRange('n', n, 1, most)
  if (gpt && format != null) return unknownParameter('response_format')
  if (!gpt && stream === true) return unknownParameter('stream')
  if (format != null && format !== 'url' && format !== 'b64_json') {
    return invalid('response_format', `Invalid value: '${format}'. Supported values are: 'url' and 'b64_json'.`)
  }
  if (partial != null && !isInteger(partial, 0, maxPartialImages)) {
    return outOfRange('partial_images', partial, 0, maxPartialImages)
  }
  return {
    gpt,
    n: n ?? 1,
    asUrl: !gpt && format !== 'b64_json',
    stream: stream === true,
    partialImages: partial ?? 0,
    inputTokens: countWords(prompt),
    look: {
      background: body.background ?? 'opaque',
      output_format: body.output_format ?? 'png',
      quality: body.quality ?? 'low',
      size: body.size ?? '1024x1024',
    },
  }
}

const unknownParameter = (name: string) => invalid(name, `Unknown parameter: '${name}'.`, 'unknown_parameter')

/** The body of the answer: one JSON document, or the events of a stream. */
export function imageBody(request: ImageRequest, context: CompletionContext): string | Iterable<Step> {
  const { gpt, n, asUrl, look } = request
  if (request.stream) return events(request, context)
  const data = Array.from({ length: n }, () =>
    asUrl ? { url: `https://images.sandbox.invalid/${context.newId('img-')}.png` } : { b64_json: dot },
  )
  return JSON.stringify({ created: context.created, ...(gpt && { ...look, usage: usageOf(request, n) }), data })
}

function* events(request: ImageRequest, { created, wordIntervalMs: waitMs }: CompletionContext): Generator<Step> {
  const { n, partialImages, look } = request
  const image = { b64_json: dot, created_at: created, ...look }
  for (let index = 0; index < partialImages; index++) {
    const event = { type: 'image_generation.partial_image', partial_image_index: index, ...image }
    yield eventStep(event, { kind: 'token', waitMs })
  }
  for (let left = n - 1; left >= 0; left--) {
    const event = { type: 'image_generation.completed', ...image, usage: usageOf(request, 1) }
    yield eventStep(event, { kind: left === 0 ? 'done' : 'token', waitMs })
  }
}

function usageOf({ inputTokens }: ImageRequest, images: number) {
  const outputTokens = images * imageTokens
  return {
    input_tokens: inputTokens,
    input_tokens_details: { text_tokens: inputTokens, image_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { text_tokens: 0, image_tokens: outputTokens },
    total_tokens: inputTokens + outputTokens,
  }
}
