/** OpenAI's embeddings: a unit vector that depends on nothing but the text. */
import { countWords, invalid, isInteger, isStringList, missing, outOfRange, textsIn } from './openai-request.ts'
import { hash32, seededRandom } from './seeded.ts'
import { jsonAnswer, type WholeAnswer } from './vendor.ts'

const maxInputs = 2048
const maxDimensions = 3072

export function embeddings(body: Record<string, unknown>): { answer: WholeAnswer; tokens: number } {
  const { model, input, dimensions, encoding_format: format } = body
  const refuse = (answer: WholeAnswer) => ({ answer, tokens: 0 })
  if (input === undefined) return refuse(missing('input'))
  const texts = textsIn(input)
  if (!isStringList(texts, maxInputs) || texts.includes('')) {
    return refuse(
      invalid('input', `'input' must be 1 to ${maxInputs} strings or arrays of tokens, none of them empty.`),
    )
  }
  if (dimensions != null && !isInteger(dimensions, 1, maxDimensions)) {
    return refuse(outOfRange('dimensions', dimensions, 1, maxDimensions))
  }
  const tokens = texts.reduce((sum, text) => sum + countWords(text), 0)
  const data = texts.map((text, index) => {
    const vector = unitVector(text, dimensions ?? 1536)
    return { object: 'embedding', index, embedding: format === 'base64' ? base64(vector) : [...vector] }
  })
  const usage = { prompt_tokens: tokens, total_tokens: tokens }
  return { answer: jsonAnswer(200, { object: 'list', data, model, usage }), tokens }
}

function unitVector(text: string, dimensions: number): Float32Array {
  const random = seededRandom(hash32(text))
  const raw = Array.from({ length: dimensions }, () => random() * 2 - 1)
  const length = Math.hypot(...raw)
  return Float32Array.from(raw, (value) => value / length)
}

/** Little-endian float32, whatever this machine's order is. */
function base64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes.toString('base64')
}
