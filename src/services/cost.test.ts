import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import type { Price } from '../routing/table.ts'
import { costOf, type Delivered, estimatedInput, isExact, type Job, mostItCosts, providerCostOf, rule } from './cost.ts'

const price = (own: Partial<Price> = {}): Price => ({
  ...{ inputPerMillion: 0, cachedInputPerMillion: 0, outputPerMillion: 0 },
  ...{ perImage: undefined, perMinute: undefined, perMillionCharacters: undefined, perToolCall: undefined },
  ...own,
})
const job = (endpoint: InferenceEndpoint, body: Record<string, unknown> = {}, bytes = 1_000): Job => ({
  ...{ endpoint, body, bytes },
})
const delivered = (own: Partial<Delivered> = {}): Delivered => ({
  ...{ usage: undefined, outputTokens: 0, images: 0, toolCalls: 0 },
  ...own,
})
const usage = (inputTokens: number, outputTokens: number, cachedInputTokens = 0) => ({
  ...{ inputTokens, cachedInputTokens, outputTokens },
})
/** Output at a micro-dollar a token, so that a cost is a count. */
const counted = price({ outputPerMillion: 1e6 })
const mostOutput = (endpoint: InferenceEndpoint, body: object, window?: number) =>
  mostItCosts(job(endpoint, body as Record<string, unknown>), counted, window, 'm')

describe('a cost', () => {
  test('is rounded up, once, over all that was used', () => {
    const rates = price({ inputPerMillion: 100_000, cachedInputPerMillion: 50_000, outputPerMillion: 600_000 })
    const cost = (...used: [number, number, number?]) =>
      costOf(job('chat/completions'), rates, delivered({ usage: usage(...used) }))
    expect([cost(0, 0), cost(1, 0), cost(10, 0), cost(11, 0), cost(3, 1), cost(10, 1)]).toEqual([0, 1, 1, 2, 1, 2])
    expect(cost(10, 0, 10)).toBe(1)
    expect(cost(30, 0, 20)).toBe(2)
  })

  test('without the provider’s word goes by the length of the prompt and the pieces that were delivered', () => {
    const rates = price({ inputPerMillion: 1e6, outputPerMillion: 1e6 })
    expect(costOf(job('chat/completions', {}, 41), rates, delivered({ outputTokens: 7 }))).toBe(11 + 7)
    expect(estimatedInput(job('responses', {}, 41))).toBe(11)
    expect(estimatedInput(job('audio/speech', {}, 41))).toBe(0)
  })

  test('of images is by those that came, of a text by its characters, of sound by its minutes', () => {
    expect(costOf(job('images/generations', { n: 3 }), price({ perImage: 40 }), delivered({ images: 2 }))).toBe(80)
    const spoken = price({ perMillionCharacters: 1e6 })
    expect(costOf(job('audio/speech', { input: 'a𝄞é' }), spoken, delivered())).toBe(3)
    const heard = price({ perMinute: 60 })
    expect(costOf(job('audio/transcriptions', {}, 32_000), heard, delivered())).toBe(2)
    const told = delivered({ usage: { ...usage(0, 0), seconds: 7.5 } })
    expect(costOf(job('audio/translations', {}, 32_000), heard, told)).toBe(8)
  })

  test('has each call of a tool that the provider ran beside the tokens', () => {
    const rates = price({ inputPerMillion: 1e6, outputPerMillion: 1e6, perToolCall: 10_000 })
    expect(costOf(job('responses'), rates, delivered({ usage: usage(5, 1), toolCalls: 3 }))).toBe(30_006)
    expect(costOf(job('responses', {}, 40), rates, delivered({ outputTokens: 1, toolCalls: 1 }))).toBe(10_011)
    expect(rule(job('responses'), rates)).toMatchObject({ perToolCall: 10_000 })
    expect(providerCostOf(job('responses'), rates, delivered({ usage: usage(5, 1), toolCalls: 3 }))).toBe(30_006)
    const { perToolCall: _, ...unknown } = rates
    expect(providerCostOf(job('responses'), unknown, delivered({ usage: usage(5, 1), toolCalls: 3 }))).toBeUndefined()
    expect(providerCostOf(job('responses'), unknown, delivered({ usage: usage(5, 1) }))).toBe(6)
  })

  test('is exact where the provider has said what it goes by', () => {
    const tokens = delivered({ usage: usage(1, 1) })
    expect(isExact(job('chat/completions'), delivered())).toBe(false)
    expect(isExact(job('chat/completions'), tokens)).toBe(true)
    expect(isExact(job('audio/transcriptions'), tokens)).toBe(false)
    expect(isExact(job('images/generations'), delivered())).toBe(true)
  })

  test('is told by the rates that it goes by', () => {
    const rates = price({
      inputPerMillion: 1,
      cachedInputPerMillion: 2,
      outputPerMillion: 3,
      perImage: 4,
      perMinute: 5,
    })
    expect(rule(job('chat/completions'), rates)).toEqual({
      ...{ inputPerMillion: 1, cachedInputPerMillion: 2, outputPerMillion: 3 },
    })
    expect(rule(job('images/generations'), rates)).toEqual({ perImage: 4 })
    expect(rule(job('audio/translations'), rates)).toEqual({ perMinute: 5 })
    expect(rule(job('audio/speech'), rates)).toEqual({ perMillionCharacters: 0 })
  })
})

describe('what the provider bills', () => {
  const chat = job('chat/completions')
  const some = delivered({ usage: usage(10, 1, 4) })

  test('is not rounded, so that many small requests add up to what they cost', () => {
    const rates = { inputPerMillion: 100_000, cachedInputPerMillion: 50_000, outputPerMillion: 600_000 }
    expect(providerCostOf(chat, rates, some)).toBeCloseTo(0.6 + 0.2 + 0.6, 9)
    expect(providerCostOf(job('images/generations'), { perImage: 2.5 }, delivered({ images: 3 }))).toBe(7.5)
    expect(providerCostOf(job('audio/speech', { input: 'abc' }), { perMillionCharacters: 5e5 }, delivered())).toBe(1.5)
    const heard = delivered({ usage: { ...usage(0, 0), seconds: 1 } })
    expect(providerCostOf(job('audio/transcriptions'), { perMinute: 6 }, heard)).toBeCloseTo(0.1, 9)
  })

  test('is not known where a rate is missing that the request goes by', () => {
    expect(providerCostOf(chat, { inputPerMillion: 1, cachedInputPerMillion: 1 }, some)).toBeUndefined()
    expect(providerCostOf(chat, { perImage: 1 }, some)).toBeUndefined()
    expect(providerCostOf(job('images/generations'), { inputPerMillion: 1 }, some)).toBeUndefined()
  })
})

test('credit is held for calls of tools that the provider runs', () => {
  const rates = price({ perToolCall: 10_000 })
  const tools = [{ type: 'web_search' }]
  const most = (endpoint: InferenceEndpoint, body: Record<string, unknown>, model = 'm') =>
    mostItCosts(job(endpoint, body), rates, undefined, model)
  expect(most('responses', { tools })).toBe(160_000)
  expect(most('responses', { tools, max_tool_calls: 2 })).toBe(20_000)
  expect(most('responses', { tools, max_tool_calls: 1e9 })).toBe(1_280_000)
  expect(most('responses', { tools: [{ type: 'function' }] })).toBe(0)
  expect(most('chat/completions', { web_search_options: {} })).toBe(10_000)
  expect(most('chat/completions', {}, 'gpt-4o-search-preview')).toBe(10_000)
  expect(most('chat/completions', {})).toBe(0)
})

describe('the most that may come out', () => {
  test.each<[InferenceEndpoint, object, number]>([
    ['chat/completions', {}, 16_384],
    ['chat/completions', { max_completion_tokens: 5 }, 5],
    ['chat/completions', { max_tokens: 6 }, 6],
    ['chat/completions', { max_tokens: 0 }, 16_384],
    ['chat/completions', { max_tokens: '0' }, 16_384],
    ['chat/completions', { max_completion_tokens: null, max_tokens: 6 }, 6],
    ['chat/completions', { max_tokens: -1 }, 16_384],
    ['chat/completions', { max_tokens: 6, n: 3 }, 18],
    ['chat/completions', { max_tokens: 1e12 }, 2_000_000],
    ['chat/completions', { max_tokens: 6, n: 1e9 }, 6 * 128],
    ['completions', { max_tokens: 6, n: 2, best_of: 5 }, 30],
    ['completions', { max_tokens: 6, prompt: ['a', 'b'] }, 12],
    ['completions', { max_tokens: 6, prompt: [[1], [2], [3]] }, 18],
    ['completions', { max_tokens: 6, prompt: [1, 2, 3] }, 6],
    ['responses', { max_output_tokens: 9 }, 9],
  ])('%s %j: %i', (endpoint, body, most) => expect(mostOutput(endpoint, body)).toBe(most))

  test.each<[InferenceEndpoint, object, number]>([
    ['chat/completions', { max_output_tokens: 1 }, 16_384],
    ['completions', { max_completion_tokens: 1 }, 16_384],
    ['responses', { max_tokens: 1 }, 16_384],
    ['responses', { max_completion_tokens: 1, max_output_tokens: 50 }, 50],
  ])('%s goes by no bound of another endpoint, which no provider would keep: %j', (endpoint, body, most) => {
    expect(mostOutput(endpoint, body)).toBe(most)
  })

  test('is the larger of two bounds, in whatever order: servers do not agree on which counts', () => {
    expect(mostOutput('chat/completions', { max_completion_tokens: 1, max_tokens: 500 })).toBe(500)
    expect(mostOutput('chat/completions', { max_completion_tokens: 500, max_tokens: 1 })).toBe(500)
  })

  test('goes by numbers in quotes, which some servers take', () => {
    expect(mostOutput('chat/completions', { max_tokens: '20', n: '4' })).toBe(80)
    expect(mostOutput('chat/completions', { max_tokens: 'many' })).toBe(16_384)
    expect(mostOutput('chat/completions', { max_tokens: ' ' })).toBe(16_384)
  })

  test('is no more than the model’s window', () => {
    expect(mostOutput('chat/completions', {}, 4_096)).toBe(4_096)
    expect(mostOutput('chat/completions', { max_tokens: 9_999 }, 4_096)).toBe(4_096)
  })

  test('costs nothing where output costs nothing', () => {
    expect(mostItCosts(job('embeddings', { n: 9 }, 1_000), price({ inputPerMillion: 1e6 }), undefined, 'm')).toBe(1_000)
  })
})

describe('the most that may go in', () => {
  test.each<[InferenceEndpoint, object, number]>([
    ['embeddings', {}, 8],
    ['embeddings', { input: 'a text' }, 8],
    ['embeddings', { input: [1, 2, 3] }, 8],
    ['embeddings', { input: ['a', 'b', 'c'] }, 24],
    ['embeddings', { input: [[1], [2]] }, 16],
    ['moderations', { input: ['a', 'b'] }, 16],
    ['completions', { prompt: ['a', 'b'] }, 16],
    ['embeddings', { input: Array(2_048).fill('a') }, 1_000],
    ['responses', { input: [{}, {}] }, 8],
    ['chat/completions', { messages: [{}, {}] }, 8],
  ])('%s %j: %i of 1,000 bytes for a window of 8', (endpoint, body, most) => {
    const asked = body as Record<string, unknown>
    expect(mostItCosts(job(endpoint, asked, 1_000), price({ inputPerMillion: 1e6 }), 8, 'm')).toBe(most)
  })
})

describe('no usage that keeps the bounds costs more than is held:', () => {
  const rate = fc.nat({ max: 200_000_000 })
  const rates = fc.record({
    ...{ inputPerMillion: rate, cachedInputPerMillion: rate, outputPerMillion: rate },
    ...{ perImage: rate, perMinute: rate, perMillionCharacters: rate, perToolCall: rate },
  })
  const window = fc.option(fc.integer({ min: 1, max: 300_000 }), { nil: undefined })
  /** A part of the whole, for each of several. */
  const part = fc.double({ min: 0, max: 1, noNaN: true })

  test('tokens', () => {
    const asked = fc.option(fc.nat({ max: 300_000 }), { nil: undefined })
    const count = fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined })
    fc.assert(
      fc.property(
        fc.record({ rates, window, asked, n: count, bytes: fc.nat({ max: 2_000_000 }) }),
        fc.constantFrom<[InferenceEndpoint, string]>(
          ['chat/completions', 'max_tokens'],
          ['chat/completions', 'max_completion_tokens'],
          ['completions', 'max_tokens'],
          ['responses', 'max_output_tokens'],
        ),
        fc.tuple(part, part, part),
        ({ rates, window, asked, n, bytes }, [endpoint, bound], [input, cached, output]) => {
          const body = { [bound]: asked, ...(endpoint !== 'responses' && { n }) }
          const most = Math.min(asked || 16_384, window ?? Infinity) * (endpoint === 'responses' ? 1 : (n ?? 1))
          const inputTokens = Math.floor(Math.min(bytes, window ?? Infinity) * input)
          const used = usage(inputTokens, Math.floor(most * output), Math.floor(inputTokens * cached))
          const asking = job(endpoint, body, bytes)
          const held = mostItCosts(asking, rates, window, 'm')
          expect(costOf(asking, rates, delivered({ usage: used }))).toBeLessThanOrEqual(held)
          expect(Number.isSafeInteger(held)).toBe(true)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('images, characters and minutes', () => {
    fc.assert(
      fc.property(
        rates,
        fc.integer({ min: 1, max: 128 }),
        part,
        fc.string({ unit: 'grapheme' }),
        fc.nat(1e6),
        (rates, n, some, input, bytes) => {
          const images = job('images/generations', { n })
          const drawn = delivered({ images: Math.floor(n * some) })
          expect(costOf(images, rates, drawn)).toBeLessThanOrEqual(mostItCosts(images, rates, undefined, 'm'))
          const speech = job('audio/speech', { input })
          expect(costOf(speech, rates, delivered())).toBe(mostItCosts(speech, rates, undefined, 'm'))
          const sound = job('audio/transcriptions', {}, bytes)
          const held = mostItCosts(sound, rates, undefined, 'm')
          const heard = delivered({ usage: { ...usage(0, 0), seconds: (bytes / 1_000) * some } })
          expect(costOf(sound, rates, heard)).toBeLessThanOrEqual(held)
          expect(costOf(sound, rates, delivered())).toBeLessThanOrEqual(held)
        },
      ),
    )
  })
})
