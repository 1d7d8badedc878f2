/** OpenAI's transcriptions and translations: the words w1 w2 w3 … of a file, as many as its name and size say. */
import type { CompletionContext } from './openai-completion.ts'
import { openaiError } from './openai-errors.ts'
import { eventStep } from './openai-event.ts'
import { invalid, missing, planChoice } from './openai-request.ts'
import type { FormFields, FormFile } from './request-body.ts'
import type { Step } from './send.ts'
import { isRecord, type WholeAnswer } from './vendor.ts'

export interface TranscriptionRequest {
  task: 'transcribe' | 'translate'
  model: string
  words: number
  /** Of the file. */
  seconds: number
  format: string
  withWords: boolean
  stream: boolean
}

const maxFileBytes = 25 * 1024 * 1024
const audioFile = /\.(?:flac|m4a|mp3|mp4|mpeg|mpga|oga|ogg|wav|webm)$/i
const formats = ['json', 'text', 'srt', 'verbose_json', 'vtt']
const bytesPerSecond = 16_000

export function readTranscriptionRequest(
  task: TranscriptionRequest['task'],
  fields: FormFields,
): TranscriptionRequest | WholeAnswer {
  const { file, model, response_format: format = 'json' } = fields
  if (!isFile(file)) return missing('file')
  if (file.size > maxFileBytes) {
    const message = `Maximum content size limit (${maxFileBytes}) exceeded (${file.size} bytes read)`
    return openaiError(413, { message, type: 'server_error' })
  }
  if (!audioFile.test(file.name)) return invalid('file', 'Unrecognized file format.')
  if (file.size === 0) return invalid('file', 'Audio file might be corrupted or unsupported', 'invalid_value')
  const whisper = String(model).startsWith('whisper')
  if (typeof format !== 'string' || !formats.includes(format)) {
    return invalid('response_format', `Invalid value: '${format}'.`, 'invalid_value')
  }
  if (!whisper && format !== 'json') {
    const message = `response_format '${format}' is not compatible with model '${model}'. Use 'json' instead.`
    return invalid('response_format', message, 'unsupported_value')
  }
  return {
    task,
    model: String(model),
    words: planChoice(`${file.name} ${file.size}`, '', undefined).count,
    seconds: Math.ceil(file.size / bytesPerSecond),
    format,
    withWords: [fields['timestamp_granularities[]']].flat().includes('word'),
    // Whisper ignores it.
    stream: task === 'transcribe' && !whisper && fields.stream === 'true',
  }
}

const isFile = (value: FormFields[string] | undefined): value is FormFile => isRecord(value) && 'size' in value

/** The answer's type and body: JSON, text, or the events of a stream. */
export function transcriptionAnswer(request: TranscriptionRequest, { wordIntervalMs }: CompletionContext) {
  const words = Array.from({ length: request.words }, (_, i) => `w${i + 1}`)
  const text = words.join(' ')
  const json = (value: object) => ({ contentType: 'application/json', body: JSON.stringify(value) })
  const plain = (body: string) => ({ contentType: 'text/plain; charset=utf-8', body })
  const { task, seconds, format } = request
  if (request.stream) {
    return { contentType: 'text/event-stream; charset=utf-8', body: events(words, request, wordIntervalMs) }
  }
  switch (format) {
    case 'text':
      return plain(`${text}\n`)
    case 'srt':
      return plain(`1\n${clock(0, ',')} --> ${clock(seconds, ',')}\n${text}\n\n`)
    case 'vtt':
      return plain(`WEBVTT\n\n${clock(0, '.')} --> ${clock(seconds, '.')}\n${text}\n\n`)
    case 'verbose_json':
      return json(verbose(request, words))
    default:
      return json(task === 'translate' ? { text } : { text, usage: usageOf(request) })
  }
}

function* events(words: string[], request: TranscriptionRequest, wordIntervalMs: number): Generator<Step> {
  for (const [index, word] of words.entries()) {
    const event = { type: 'transcript.text.delta', delta: index === 0 ? word : ` ${word}` }
    yield eventStep(event, { named: false, kind: 'token', ...(index > 0 && { waitMs: wordIntervalMs }) })
  }
  const done = { type: 'transcript.text.done', text: words.join(' '), usage: usageOf(request) }
  yield eventStep(done, { named: false })
  yield { data: 'data: [DONE]\n\n', kind: 'done' }
}

function usageOf({ model, seconds, words }: TranscriptionRequest) {
  if (model.startsWith('whisper')) return { type: 'duration', seconds }
  const inputTokens = seconds * 10
  return {
    type: 'tokens',
    input_tokens: inputTokens,
    input_token_details: { text_tokens: 0, audio_tokens: inputTokens },
    output_tokens: words,
    total_tokens: inputTokens + words,
  }
}

function verbose({ task, seconds, withWords }: TranscriptionRequest, words: string[]) {
  const text = words.join(' ')
  const each = seconds / words.length
  const segment = { id: 0, seek: 0, start: 0, end: seconds, text, tokens: words.map((_, i) => i), temperature: 0 }
  return {
    task,
    language: 'english',
    duration: seconds,
    text,
    segments: [{ ...segment, avg_logprob: -0.2, compression_ratio: 1.1, no_speech_prob: 0.01 }],
    ...(withWords && { words: words.map((word, i) => ({ word, start: i * each, end: (i + 1) * each })) }),
    ...(task === 'transcribe' && { usage: { type: 'duration', seconds } }),
  }
}

/** A time of a subtitle, as in 00:01:02,000. */
function clock(seconds: number, point: ',' | '.'): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}${point}000`
}
