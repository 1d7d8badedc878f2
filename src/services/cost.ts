/**
 * What a request may cost at most, which is held, and what it did cost. Parts of a micro-dollar are rounded up, so that
 * nothing is sold below its price.
 */
import type { MicroUsd } from '../domain/money.ts'
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import { hostedTool, searchesIn } from '../providers/hosted-tools.ts'
import type { TokenUsage } from '../providers/token-usage.ts'
import { picturesIn } from '../routing/question.ts'
import type { Price } from '../routing/table.ts'

/** A request, as far as its cost goes by it. */
export interface Job {
  endpoint: InferenceEndpoint
  body: Readonly<Record<string, unknown>>
  /** Length of the body; of a form, about that of its file. */
  bytes: number
  /** What its prompt is estimated by. @default all of them */
  promptBytes?: number
}

/** Of a prompt in JSON, roughly. */
const bytesPerToken = 4
/** Of a picture in a prompt, about. Its bytes would be hundreds of times as many. */
const pictureTokens = 1_000
/** Choices or pictures of one request; credit is held for as many at most, and more are refused. */
export const maxAnswers = 128
/** Where the caller sets no bound. */
const usualMaxOutput = 16_384
/** Where the caller sets no bound on calls of the provider's tools, and the most that he may set. */
const usualMaxToolCalls = 16
const maxToolCalls = 128
/** More than any model gives. */
export const maxTokens = 2_000_000
/** Speech of 8 kbit/s is the longest that a file can hold; that of 128 kbit/s is usual. */
const bytesPerSecond = { least: 1_000, usual: 16_000 }

type Sold = 'tokens' | 'images' | 'characters' | 'minutes'
const soldBy: Partial<Record<InferenceEndpoint, Sold>> = {
  'images/generations': 'images',
  'audio/speech': 'characters',
  'audio/transcriptions': 'minutes',
  'audio/translations': 'minutes',
}
const unitOf = (endpoint: InferenceEndpoint): Sold => soldBy[endpoint] ?? 'tokens'

/** What it was in the end. */
export interface Delivered {
  /** As the provider says; undefined = it did not. */
  usage: TokenUsage | undefined
  /** Pieces of text that reached the caller: about as many tokens. */
  outputTokens: number
  /** Of images, those that reached the caller. */
  images: number
  /** Of tools that the provider ran. */
  toolCalls: number
}

/** Those that show nowhere in the answer. Whoever has no price for them is asked for none. */
export const hiddenToolCalls = ({ body }: Job, { perToolCall }: Price, model: string): number =>
  perToolCall !== undefined && searchesIn(body, model) ? 1 : 0

function mostToolCalls({ endpoint, body }: Job, model: string): number {
  if (!hostedTool(body, model)) return 0
  return endpoint === 'responses' ? countOf(body.max_tool_calls, usualMaxToolCalls, maxToolCalls) : 1
}

/** A token is a byte of the prompt at the least, so there are no more of them than bytes. */
export function mostItCosts(job: Job, price: Price, contextWindow: number | undefined, model: string): MicroUsd {
  const window = contextWindow ?? maxTokens
  switch (unitOf(job.endpoint)) {
    case 'images':
      return countOf(job.body.n, 1, maxAnswers) * (price.perImage ?? 0)
    case 'characters':
      return Math.ceil(characters(job, price))
    case 'minutes':
      return Math.ceil(perMinute(price, job.bytes / bytesPerSecond.least))
    case 'tokens':
      return Math.ceil(
        tokens(
          // Cached tokens may be dearer where a file says so.
          { ...price, inputPerMillion: Math.max(price.inputPerMillion, price.cachedInputPerMillion) },
          Math.min(job.bytes, window * textsIn(job)),
          0,
          price.outputPerMillion > 0 ? mostOutput(job, window) : 0,
        ) + (price.perToolCall ? mostToolCalls(job, model) * price.perToolCall : 0),
      )
  }
}

export const costOf = (job: Job, price: Price, delivered: Delivered): MicroUsd =>
  Math.ceil(amountOf(job, price, delivered))

/** What the provider bills for it, in micro-dollars and parts of them; undefined where it needs a rate that is not known. */
export function providerCostOf(job: Job, rates: Partial<Price>, delivered: Delivered): number | undefined {
  for (const rate of ratesOf[unitOf(job.endpoint)]) if (rates[rate] === undefined) return undefined
  if (delivered.toolCalls > 0 && rates.perToolCall === undefined) return undefined
  return amountOf(job, rates as Price, delivered)
}

function amountOf(job: Job, price: Price, delivered: Delivered): number {
  const { usage } = delivered
  switch (unitOf(job.endpoint)) {
    case 'images':
      return delivered.images * (price.perImage ?? 0)
    case 'characters':
      return characters(job, price)
    case 'minutes':
      return perMinute(price, usage?.seconds ?? job.bytes / bytesPerSecond.usual)
    case 'tokens':
      return (
        (usage
          ? tokens(price, usage.inputTokens, usage.cachedInputTokens, usage.outputTokens)
          : tokens(price, estimatedInput(job), 0, delivered.outputTokens)) +
        delivered.toolCalls * (price.perToolCall ?? 0)
      )
  }
}

/** Without the provider's word. */
export const estimatedInput = ({ endpoint, bytes, promptBytes = bytes }: Job): number =>
  unitOf(endpoint) === 'tokens' ? Math.ceil(promptBytes / bytesPerToken) : 0

/** A picture is no text, and no prompt is longer than the window of the model that has most room. */
export function promptBytesOf({ endpoint, body, bytes }: Job, contextWindow: number): number {
  const ofPicture = pictureTokens * bytesPerToken
  let counted = bytes
  if (bytes > ofPicture) for (const { length } of picturesIn(body)) counted -= Math.max(0, length - ofPicture)
  return Math.min(counted, contextWindow * textsIn({ endpoint, body }) * bytesPerToken)
}

/** Whether the provider has said all that the cost goes by. */
export function isExact({ endpoint }: Job, { usage }: Delivered): boolean {
  const unit = unitOf(endpoint)
  return unit === 'tokens' ? usage !== undefined : unit === 'minutes' ? usage?.seconds !== undefined : true
}

/** Only what the endpoint goes by: another field would be a bound that nobody keeps. */
const outputLimits: Partial<Record<InferenceEndpoint, readonly string[]>> = {
  'chat/completions': ['max_completion_tokens', 'max_tokens'],
  completions: ['max_tokens'],
  responses: ['max_output_tokens'],
}

function mostOutput({ endpoint, body }: Job, window: number): number {
  const asked = (outputLimits[endpoint] ?? []).filter((name) => body[name] != null)
  const most = Math.min(maxTokens, window)
  const usual = Math.min(usualMaxOutput, window)
  // Of two, servers do not agree on which counts.
  const each = asked.length > 0 ? Math.max(...asked.map((name) => countOf(body[name], usual, most))) : usual
  return (
    each * Math.max(countOf(body.n, 1, maxAnswers), countOf(body.best_of, 1, maxAnswers)) * textsIn({ endpoint, body })
  )
}

/** Where one request may ask about several texts, each of which may fill the window. */
const listsOfTexts: Partial<Record<InferenceEndpoint, string>> = {
  completions: 'prompt',
  embeddings: 'input',
  moderations: 'input',
}

/** A list of numbers is one text, in tokens. */
function textsIn({ endpoint, body }: Pick<Job, 'endpoint' | 'body'>): number {
  const texts = body[listsOfTexts[endpoint] ?? '']
  return Array.isArray(texts) && typeof texts[0] !== 'number' ? Math.max(texts.length, 1) : 1
}

/** Some servers take `"5"` for 5, and 0 for not given. */
function countOf(value: unknown, byDefault: number, most: number): number {
  const count = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof count === 'number' && count > 0 ? Math.min(Math.ceil(count), most) : byDefault
}

const tokens = (price: Price, input: number, cached: number, output: number): number =>
  ((input - cached) * price.inputPerMillion + cached * price.cachedInputPerMillion + output * price.outputPerMillion) /
  1e6

/** `[...text]` would make an array of a long text: its surrogate pairs are counted instead. */
function characters({ body }: Job, { perMillionCharacters = 0 }: Price): number {
  const text = typeof body.input === 'string' ? body.input : ''
  let count = text.length
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xd800) count--
  return (count * perMillionCharacters) / 1e6
}

const perMinute = ({ perMinute = 0 }: Price, seconds: number): number => (seconds * perMinute) / 60

/** The rates that an endpoint is sold by, for its receipts. Made once for each price: it is asked for every request. */
export function rule({ endpoint }: Job, price: Price): Readonly<Record<string, MicroUsd>> {
  const unit = unitOf(endpoint)
  const known = rules.get(price) ?? {}
  if (known[unit]) return known[unit]
  const made = ruleOf(unit, price)
  rules.set(price, { ...known, [unit]: made })
  return made
}

const ratesOf: Record<Sold, readonly (keyof Price)[]> = {
  images: ['perImage'],
  characters: ['perMillionCharacters'],
  minutes: ['perMinute'],
  tokens: ['inputPerMillion', 'cachedInputPerMillion', 'outputPerMillion'],
}

const rules = new WeakMap<Price, Partial<Record<Sold, Readonly<Record<string, MicroUsd>>>>>()

const ruleOf = (unit: Sold, price: Price): Record<string, MicroUsd> => ({
  ...Object.fromEntries(ratesOf[unit].map((rate) => [rate, price[rate] ?? 0])),
  ...(unit === 'tokens' && price.perToolCall !== undefined && { perToolCall: price.perToolCall }),
})
