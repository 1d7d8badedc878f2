/** OpenAI's speech: bytes that depend on nothing but the text, half a KiB a word; as audio, or in events. */
import type { CompletionContext } from './openai-completion.ts'
import { eventStep } from './openai-event.ts'
import { countWords, invalid, missing } from './openai-request.ts'
import { hash32, seededRandom } from './seeded.ts'
import type { Step } from './send.ts'
import type { WholeAnswer } from './vendor.ts'

export interface SpeechRequest {
  input: string
  contentType: string
  /** In events instead of as audio. */
  sse: boolean
  inputTokens: number
}

const formats: Record<string, string> = {
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
}
const maxChars = 4096
const bytesPerWord = 512

export function readSpeechRequest(body: Record<string, unknown>): SpeechRequest | WholeAnswer {
  const { model, input, voice, speed, response_format: format = 'mp3', stream_format: streamFormat } = body
  if (input === undefined) return missing('input')
  if (typeof input !== 'string') return invalid('input', "Invalid type for 'input': expected a string.", 'invalid_type')
  if (input === '') return invalid('input', "Invalid 'input': string too short.", 'string_below_min_length')
  if (input.length > maxChars) {
    const message = `Invalid 'input': string too long. Expected a string with maximum length ${maxChars}.`
    return invalid('input', message, 'string_above_max_length')
  }
  if (voice == null) return missing('voice')
  const contentType = formats[String(format)]
  if (!contentType) return invalid('response_format', `Invalid value: '${format}'.`, 'invalid_value')
  if (speed != null && !(typeof speed === 'number' && speed >= 0.25 && speed <= 4)) {
    return invalid('speed', "Invalid 'speed': expected a number from 0.25 to 4.")
  }
  const sse = streamFormat === 'sse'
  if (sse && String(model).startsWith('tts-1')) {
    return invalid('stream_format', `stream_format 'sse' is not supported for the model '${model}'.`)
  }
  return { input, contentType, sse, inputTokens: countWords(input) }
}

/** The audio, chunk by chunk. */
export function* speechBody(request: SpeechRequest, { wordIntervalMs: waitMs }: CompletionContext): Generator<Step> {
  const { sse, inputTokens } = request
  for (const bytes of audioOf(request.input)) {
    if (!sse) yield { data: bytes, kind: 'token', waitMs }
    else {
      const event = { type: 'speech.audio.delta', audio: bytes.toString('base64') }
      yield eventStep(event, { named: false, kind: 'token', waitMs })
    }
  }
  if (!sse) return
  const usage = { input_tokens: inputTokens, output_tokens: inputTokens, total_tokens: 2 * inputTokens }
  yield eventStep({ type: 'speech.audio.done', usage }, { named: false })
  yield { data: 'data: [DONE]\n\n', kind: 'done' }
}

/** What a text sounds like. */
export function audioOf(input: string): Buffer[] {
  const random = seededRandom(hash32(input))
  return Array.from({ length: Math.max(1, countWords(input)) }, () =>
    Buffer.from(Array.from({ length: bytesPerWord }, () => Math.floor(random() * 256))),
  )
}
