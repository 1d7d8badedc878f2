import { describe, expect, it } from 'vitest'
import { parseRoutingTable } from './parse-table.ts'
import { contextWindowOf, priceOf } from './prices.ts'
import { defaultTable, rowFor } from './table.ts'

const tokens = {
  ...{ perImage: undefined, perMinute: undefined, perMillionCharacters: undefined, perToolCall: undefined },
}

describe('a price', () => {
  it('is that of the built-in table, in millionths of a dollar', () => {
    expect(priceOf({}, ['gpt-4o-mini'])).toEqual({
      ...tokens,
      inputPerMillion: 150_000,
      outputPerMillion: 600_000,
      cachedInputPerMillion: 75_000,
    })
    expect(priceOf({}, ['dall-e-3'])).toMatchObject({ perImage: 40_000 })
    expect(priceOf({}, ['whisper-1'])).toMatchObject({ perMinute: 6_000 })
    expect(priceOf({}, ['tts-1'])).toMatchObject({ perMillionCharacters: 15_000_000 })
    expect(priceOf({}, ['omni-moderation-latest'])).toMatchObject({ inputPerMillion: 0, outputPerMillion: 0 })
  })

  it('is 1.00 and 4.00 for a model that nobody priced, and images, audio and speech are then not sold', () => {
    expect(priceOf({}, ['unheard-of'])).toEqual({
      ...tokens,
      inputPerMillion: 1_000_000,
      outputPerMillion: 4_000_000,
      cachedInputPerMillion: 1_000_000,
    })
  })

  it('of a dated snapshot is that of its family, unless the snapshot has its own', () => {
    expect(priceOf({}, ['gpt-4o-2024-08-06'])).toEqual(priceOf({}, ['gpt-4o']))
    expect(priceOf({}, ['gpt-4o-2024-05-13']).inputPerMillion).toBe(5_000_000)
    expect(contextWindowOf('gpt-4.1-mini-2025-04-14')).toBe(1_047_576)
    for (const [name, input] of [
      ['gpt-4-0613', 30],
      ['gpt-3.5-turbo-0125', 0.5],
      ['gpt-4-0125-preview', 10],
      ['gpt-4-turbo-preview', 10],
      ['gpt-4o-audio-preview-2024-12-17', 40],
      ['o1-preview', 15],
    ] as const) {
      expect([name, priceOf({}, [name]).inputPerMillion]).toEqual([name, input * 1e6])
    }
  })

  it.each([
    ['gpt-5-codex', 1.25, 10],
    ['gpt-5.1-codex', 1.25, 10],
    ['gpt-5.1-codex-max', 1.25, 10],
    ['gpt-5.1-codex-mini', 0.25, 2],
    ['gpt-5.2-codex', 1.75, 14],
    ['gpt-5.1-chat-latest', 1.25, 10],
    ['gpt-5.2-chat-latest', 1.75, 14],
    ['codex-mini-latest', 1.5, 6],
    ['gpt-4o-search-preview', 2.5, 10],
    ['gpt-4o-mini-search-preview-2025-03-11', 0.15, 0.6],
    ['computer-use-preview', 3, 12],
    ['computer-use-preview-2025-03-11', 3, 12],
    ['o1-mini-2024-09-12', 1.1, 4.4],
    ['gpt-5-pro-2025-10-06', 15, 120],
    ['gpt-5.4-pro', 30, 180],
    ['gpt-5.5-pro', 30, 180],
    ['gpt-6-pro', 30, 180],
    ['gpt-7.1-pro-2027-01-01', 30, 180],
    ['o5-pro', 150, 600],
    ['ft:gpt-4o-mini-2024-07-18:org::id', 0.3, 1.2],
    ['ft:gpt-3.5-turbo-0125:org:name:id', 3, 6],
    ['ft:gpt-4-0613:org::id', 30, 60],
    ['ft:unheard-of:org::id', 1, 4],
    ['unheard-of-codex', 1, 4],
    ['gemini-3-pro', 1, 4],
  ])('of the variant %s is $%d and $%d', (name, input, output) => {
    const { inputPerMillion, outputPerMillion } = priceOf({}, [name])
    expect([inputPerMillion, outputPerMillion]).toEqual([input * 1e6, output * 1e6])
  })

  it('of a cached token follows what is said of the others', () => {
    expect(priceOf({ inputPerMillion: 5 }, ['unheard-of']).cachedInputPerMillion).toBe(5)
    expect(priceOf({ inputPerMillion: 50_000 }, ['gpt-4o-mini']).cachedInputPerMillion).toBe(50_000)
    expect(priceOf({ inputPerMillion: 200_000 }, ['gpt-4o-mini']).cachedInputPerMillion).toBe(75_000)
    expect(priceOf({ cachedInputPerMillion: 7 }, ['gpt-4o-mini']).cachedInputPerMillion).toBe(7)
  })
})

const p = (name: string) => ({ name, kind: 'openai' as const, baseUrl: 'http://h', apiKeys: [], headers: {} })

describe('under * a model', () => {
  it('has the built-in price and window of the name that is asked for', () => {
    const table = defaultTable([p('openai')], ['openai'])
    const price = (name: string) => rowFor(table, name)!.targets[0]!.price
    expect(price('gpt-4o')).toEqual(priceOf({}, ['gpt-4o']))
    expect(price('unheard-of')).toEqual(priceOf({}, []))
    expect(rowFor(table, 'gpt-4')?.targets[0]).toMatchObject({
      provider: 'openai',
      model: undefined,
      contextWindow: 8_192,
    })
  })

  it('has the price that the file gives, and of what the file does not say the built-in one', () => {
    const table = parseRoutingTable({
      providers: { a: { kind: 'openai', base_url: 'http://h' } },
      models: {
        '*': {
          targets: [{ provider: 'a' }, { provider: 'a', model: 'gpt-4o', context_window: 9 }],
          price: { input_per_million: 3 },
        },
      },
    })
    const [own, fixed] = rowFor(table, 'gpt-4o-mini')!.targets
    expect(own!.price).toMatchObject({ inputPerMillion: 3_000_000, outputPerMillion: 600_000 })
    expect(fixed).toMatchObject({
      price: { inputPerMillion: 3_000_000, outputPerMillion: 10_000_000 },
      contextWindow: 9,
    })
  })
})

describe('without a file', () => {
  it('every model goes to the first provider of the order that there is', () => {
    const table = defaultTable([p('iointelligence'), p('x')], ['openai', 'iointelligence'])
    expect(rowFor(table, 'any')).toMatchObject({
      name: '*',
      targets: [{ provider: 'iointelligence', model: undefined }],
    })
    expect([...table.providers.keys()]).toEqual(['iointelligence', 'x'])
  })

  it('and without any provider nowhere', () => {
    expect(rowFor(defaultTable([p('x')], ['openai']), 'any')).toBeUndefined()
  })
})
