/** OpenAI's moderations: `kill` is violence, and everything else is harmless. */
import { invalid, missing } from './openai-request.ts'
import { hash32 } from './seeded.ts'
import { isRecord, jsonAnswer, type WholeAnswer } from './vendor.ts'

const categories = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
]
/** Those judged in images too. */
const visible = /^(?:self-harm|sexual$|violence)/

export function moderations(body: Record<string, unknown>, newId: (prefix: string) => string): WholeAnswer {
  const { input, model = 'omni-moderation-latest' } = body
  if (input === undefined) return missing('input')
  const inputs = [input].flat()
  if (inputs.length === 0) return invalid('input', "Invalid 'input': empty array.", 'empty_array')
  if (inputs.every((text) => typeof text === 'string')) {
    return jsonAnswer(200, { id: newId('modr-'), model, results: inputs.map((text) => judge(text, ['text'])) })
  }
  const parts = inputs.filter(isPart)
  if (parts.length < inputs.length) {
    return invalid('input', "Invalid type for 'input': expected a string, strings, or parts.", 'invalid_type')
  }
  // Parts are one input together.
  const text = parts.map((part) => (typeof part.text === 'string' ? part.text : '')).join(' ')
  const types = [...new Set(parts.map((part) => (part.type === 'text' ? 'text' : 'image')))]
  return jsonAnswer(200, { id: newId('modr-'), model, results: [judge(text, types)] })
}

const isPart = (part: unknown): part is Record<string, unknown> =>
  isRecord(part) && (part.type === 'text' || part.type === 'image_url')

function judge(text: string, types: string[]) {
  const violent = /\bkill\b/i.test(text)
  const each = <T>(value: (category: string) => T) =>
    Object.fromEntries(categories.map((category) => [category, value(category)]))
  return {
    flagged: violent,
    categories: each((category) => violent && category === 'violence'),
    category_scores: each((category) =>
      violent && category === 'violence' ? 0.93 : (hash32(category + text) % 1000) / 1e6,
    ),
    category_applied_input_types: each((category) =>
      visible.test(category) ? types : types.filter((type) => type === 'text'),
    ),
  }
}
