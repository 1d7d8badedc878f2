/**
 * What the well-known models cost where the routing file does not say, and how much they can read. List prices of the
 * vendors for the standard tier, in US dollars; what they price by size, quality or length is at its common case.
 */
import { microUsd } from '../domain/money.ts'
import type { Price } from './table.ts'

interface KnownModel {
  price: Price
  /** In tokens; undefined = not known. */
  contextWindow: number | undefined
}

/** A model that nobody priced. */
const defaultPrice = price(1, 1, 4)

/**
 * The first that speaks, field by field: what the file says, the built-in row of the first known name, the default.
 * A cached token of which nothing is said costs what is known, and never more than one that is not cached.
 */
export function priceOf(said: Partial<Price>, names: readonly string[]): Price {
  const known = names.map(knownModel).find((model) => model !== undefined)?.price ?? defaultPrice
  const inputPerMillion = said.inputPerMillion ?? known.inputPerMillion
  const cachedShown = known === defaultPrice ? inputPerMillion : known.cachedInputPerMillion
  return {
    inputPerMillion,
    outputPerMillion: said.outputPerMillion ?? known.outputPerMillion,
    cachedInputPerMillion: said.cachedInputPerMillion ?? Math.min(cachedShown, inputPerMillion),
    perImage: said.perImage ?? known.perImage,
    perMinute: said.perMinute ?? known.perMinute,
    perMillionCharacters: said.perMillionCharacters ?? known.perMillionCharacters,
    perToolCall: said.perToolCall,
  }
}

export const contextWindowOf = (name: string): number | undefined => knownModel(name)?.contextWindow

/** A fine-tuned model is sold as what it was made from, where it has no rates of its own. */
function knownModel(name: string): KnownModel | undefined {
  const [, base] = /^ft:([^:]+)/.exec(name) ?? []
  return base === undefined ? knownBase(name) : (knownBase(`ft:${base}`) ?? knownBase(base))
}

/** A snapshot, by its date, or a variant is priced as its family, unless it has a row of its own. */
function knownBase(name: string): KnownModel | undefined {
  const undated = name.replace(/-\d{4}(-\d{2}-\d{2})?$/, '')
  const family = undated.replace(/-(preview|search-preview|codex|codex-max|chat-latest)$/, '')
  return [name, undated, family, dearestPro(undated)].map((each) => knownModels.get(each)).find(Boolean)
}

/** A pro that is newer than this table is no cheaper than those in it: better sold too dear than at a loss. */
function dearestPro(name: string): string {
  const [, line] = /^(gpt-|o)\d+(?:\.\d+)?-pro$/.exec(name) ?? []
  return line === undefined ? '' : line === 'o' ? 'o1-pro' : 'gpt-5.5-pro'
}

interface Pieces {
  perImage?: number
  perMinute?: number
  perMillionCharacters?: number
}

function price(input: number, cachedInput: number, output: number, pieces: Pieces = {}): Price {
  const micro = (dollars: number | undefined) => (dollars === undefined ? undefined : microUsd(dollars))
  return {
    inputPerMillion: microUsd(input),
    outputPerMillion: microUsd(output),
    cachedInputPerMillion: microUsd(cachedInput),
    perImage: micro(pieces.perImage),
    perMinute: micro(pieces.perMinute),
    perMillionCharacters: micro(pieces.perMillionCharacters),
    perToolCall: undefined,
  }
}

/** Dollars per million tokens: input, cached input, output. */
function text(input: number, cachedInput: number, output: number, contextWindow?: number): KnownModel {
  return { price: price(input, cachedInput, output), contextWindow }
}
const embedding = (input: number): KnownModel => text(input, input, 0, 8_192)
const image = (perImage: number): KnownModel => ({ price: price(0, 0, 0, { perImage }), contextWindow: undefined })
const transcription = (perMinute: number): KnownModel => ({
  price: price(0, 0, 0, { perMinute }),
  contextWindow: undefined,
})
const speech = (perMillionCharacters: number): KnownModel => ({
  price: price(0, 0, 0, { perMillionCharacters }),
  contextWindow: undefined,
})

const knownModels = new Map<string, KnownModel>(
  // https://developers.openai.com/api/docs/pricing
  Object.entries({
    'gpt-5.5': text(5, 0.5, 30),
    'gpt-5.4': text(2.5, 0.25, 15),
    'gpt-5.4-mini': text(0.75, 0.075, 4.5, 400_000),
    'gpt-5.4-nano': text(0.2, 0.02, 1.25, 400_000),
    'gpt-5.2': text(1.75, 0.175, 14, 400_000),
    'gpt-5.1': text(1.25, 0.125, 10, 400_000),
    'gpt-5': text(1.25, 0.125, 10, 400_000),
    'gpt-5-mini': text(0.25, 0.025, 2, 400_000),
    'gpt-5-nano': text(0.05, 0.005, 0.4, 400_000),
    'gpt-5-pro': text(15, 15, 120, 400_000),
    'gpt-5.2-pro': text(21, 21, 168, 400_000),
    'gpt-5.4-pro': text(30, 30, 180),
    'gpt-5.5-pro': text(30, 30, 180),
    'gpt-5.1-codex-mini': text(0.25, 0.025, 2, 400_000),
    'gpt-5.3-codex': text(1.75, 0.175, 14, 400_000),
    'codex-mini-latest': text(1.5, 0.375, 6, 200_000),
    'computer-use': text(3, 3, 12, 8_192),
    // By what they ask for sound, which is most of what they are asked for.
    'gpt-4o-audio': text(40, 40, 80, 128_000),
    'gpt-4o-mini-audio': text(10, 10, 20, 128_000),
    'gpt-audio': text(32, 32, 64, 128_000),
    'gpt-audio-mini': text(10, 10, 20, 128_000),
    'gpt-5-chat-latest': text(1.25, 0.125, 10, 128_000),
    'gpt-4.1': text(2, 0.5, 8, 1_047_576),
    'gpt-4.1-mini': text(0.4, 0.1, 1.6, 1_047_576),
    'gpt-4.1-nano': text(0.1, 0.025, 0.4, 1_047_576),
    'gpt-4o': text(2.5, 1.25, 10, 128_000),
    'gpt-4o-2024-05-13': text(5, 5, 15, 128_000),
    'gpt-4o-mini': text(0.15, 0.075, 0.6, 128_000),
    'chatgpt-4o-latest': text(5, 5, 15, 128_000),
    'gpt-4-turbo': text(10, 10, 30, 128_000),
    'gpt-4-1106-preview': text(10, 10, 30, 128_000),
    'gpt-4-0125-preview': text(10, 10, 30, 128_000),
    'gpt-4-vision-preview': text(10, 10, 30, 128_000),
    'gpt-4': text(30, 30, 60, 8_192),
    'gpt-4-32k': text(60, 60, 120, 32_768),
    'gpt-3.5-turbo': text(0.5, 0.5, 1.5, 16_385),
    'gpt-3.5-turbo-16k': text(3, 3, 4, 16_385),
    'gpt-3.5-turbo-instruct': text(1.5, 1.5, 2, 4_096),
    o1: text(15, 7.5, 60, 200_000),
    'o1-pro': text(150, 150, 600, 200_000),
    o3: text(2, 0.5, 8, 200_000),
    'o3-pro': text(20, 20, 80, 200_000),
    'o3-deep-research': text(10, 2.5, 40, 200_000),
    'o4-mini-deep-research': text(2, 0.5, 8, 200_000),
    'o1-mini': text(1.1, 0.55, 4.4, 128_000),
    'o3-mini': text(1.1, 0.55, 4.4, 200_000),
    'o4-mini': text(1.1, 0.275, 4.4, 200_000),
    'ft:gpt-4.1': text(3, 0.75, 12, 1_047_576),
    'ft:gpt-4.1-mini': text(0.8, 0.2, 3.2, 1_047_576),
    'ft:gpt-4.1-nano': text(0.2, 0.05, 0.8, 1_047_576),
    'ft:gpt-4o': text(3.75, 1.875, 15, 128_000),
    'ft:gpt-4o-mini': text(0.3, 0.15, 1.2, 128_000),
    'ft:gpt-3.5-turbo': text(3, 3, 6, 16_385),
    'ft:o4-mini': text(4, 1, 16, 200_000),

    'text-embedding-3-small': embedding(0.02),
    'text-embedding-3-large': embedding(0.13),
    'text-embedding-ada-002': embedding(0.1),
    'omni-moderation-latest': text(0, 0, 0),
    'omni-moderation': text(0, 0, 0),
    'text-moderation-latest': text(0, 0, 0),

    // One square picture of the standard, or medium, quality.
    'dall-e-2': image(0.02),
    'dall-e-3': image(0.04),
    'gpt-image-1': image(0.042),
    'gpt-image-1-mini': image(0.011),
    'gpt-image-1.5': image(0.034),
    'whisper-1': transcription(0.006),
    'gpt-4o-transcribe': transcription(0.006),
    'gpt-4o-mini-transcribe': transcription(0.003),
    'tts-1': speech(15),
    'tts-1-hd': speech(30),
    // Sold by the token: about 0.015 a minute, which is about a thousand characters.
    'gpt-4o-mini-tts': speech(15),

    // Open models, at what hosts of them commonly ask.
    'meta-llama/Llama-3.3-70B-Instruct': text(0.25, 0.25, 0.75, 131_072),
    'meta-llama/Llama-3.1-8B-Instruct': text(0.05, 0.05, 0.08, 131_072),
    'mistralai/Mistral-Nemo-Instruct-2407': text(0.05, 0.05, 0.08, 131_072),
    'deepseek-ai/DeepSeek-R1-0528': text(2, 2, 8.75, 131_072),
    'openai/gpt-oss-120b': text(0.1, 0.1, 0.5, 131_072),
    'openai/gpt-oss-20b': text(0.05, 0.05, 0.2, 131_072),
  }),
)
