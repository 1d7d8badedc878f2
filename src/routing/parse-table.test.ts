import { describe, expect, it } from 'vitest'
import { parseRoutingTable, RoutingError } from './parse-table.ts'

const providers = {
  openai: { kind: 'openai', base_url: 'https://api.test/v1//', api_keys: ['sk-1', 'sk-2'], headers: { 'X-Org': 'a' } },
  local: { kind: 'openai', base_url: 'http://127.0.0.1:8401/v1' },
}
const target = { provider: 'openai' }
const file = (models: object, more: object = {}) => ({ providers: { ...providers, ...more }, models })
const one = (fields: object) => file({ m: { targets: [{ ...target, ...fields }] } })
const parsed = (model: object, name = 'm') => parseRoutingTable(file({ [name]: model })).models.get(name)!

function refusal(document: unknown): string {
  try {
    parseRoutingTable(document)
  } catch (error) {
    expect(error).toBeInstanceOf(RoutingError)
    const { message } = error as Error
    expect(message).not.toContain('\n')
    return message
  }
  return expect.fail('was not refused')
}

describe('the routing table', () => {
  it('reads the whole shape', () => {
    const table = parseRoutingTable(
      file({
        'gpt-4o-mini': {
          targets: [
            { provider: 'openai', model: 'gpt-4o-mini', weight: 1 },
            {
              provider: 'local',
              model: 'llama-3.1-8b',
              weight: 2.5,
              priority: 0,
              when: { tier: 'gold', site: ['a', 'b'] },
            },
          ],
          strategy: 'weighted',
          price: { input_per_million: 0.15, output_per_million: 0.6, cached_input_per_million: 0.075 },
          context_window: 128_000,
          prefill: true,
          capabilities: ['tools', 'images'],
          timeouts: { headers: '250ms', first_token: '10s', idle: '1.5s', total: '10m', tokens_per_second: 5 },
        },
        '*': { targets: [target] },
      }),
    )
    expect(table.providers.get('openai')).toEqual({
      name: 'openai',
      kind: 'openai',
      baseUrl: 'https://api.test/v1',
      apiKeys: ['sk-1', 'sk-2'],
      headers: { 'x-org': 'a' },
    })
    expect(table.providers.get('local')).toMatchObject({ apiKeys: [], headers: {} })
    const all = {
      price: {
        inputPerMillion: 150_000,
        outputPerMillion: 600_000,
        cachedInputPerMillion: 75_000,
        perImage: undefined,
        perMinute: undefined,
        perMillionCharacters: undefined,
        perToolCall: undefined,
      },
      contextWindow: 128_000,
      capabilities: ['tools', 'images'],
      prefill: {},
      timeouts: { headersMs: 250, firstTokenMs: 10_000, idleMs: 1_500, totalMs: 600_000, minTokensPerSecond: 5 },
    }
    expect(table.models.get('gpt-4o-mini')).toEqual({
      name: 'gpt-4o-mini',
      strategy: 'weighted',
      targets: [
        { provider: 'openai', model: 'gpt-4o-mini', priority: 0, weight: 1, when: {}, ...all },
        {
          provider: 'local',
          model: 'llama-3.1-8b',
          priority: 0,
          weight: 2.5,
          when: { tier: ['gold'], site: ['a', 'b'] },
          ...all,
        },
      ],
    })
    expect(table.models.get('*')).toMatchObject({
      strategy: 'priority',
      targets: [{ provider: 'openai', priority: 0 }],
    })
  })

  it('takes the position for the priority unless one is given', () => {
    const { targets } = parsed({
      targets: ['a', 'b', 'c'].map((model, i) => ({ ...target, model, ...(i === 1 && { priority: 7 }) })),
    })
    expect(targets.map(({ priority }) => priority)).toEqual([0, 7, 2])
  })

  it('knows what a provider bills only where the file says it, field by field; a cached token as any other', () => {
    const [first, second, third] = parsed({
      targets: [
        { ...target, provider_cost: { output_per_million: 9 } },
        { ...target, model: 'b', provider_cost: { cached_input_per_million: 1 } },
        { ...target, model: 'c' },
      ],
      provider_cost: { input_per_million: 2, output_per_million: 3 },
    }).targets
    expect(first?.providerCost).toEqual({
      inputPerMillion: 2e6,
      outputPerMillion: 9e6,
      cachedInputPerMillion: 2e6,
    })
    expect(second?.providerCost).toMatchObject({ outputPerMillion: 3e6, cachedInputPerMillion: 1e6 })
    expect(third?.providerCost).toMatchObject({ inputPerMillion: 2e6 })
    expect(parsed({ targets: [target], price: { input_per_million: 5 } }).targets[0]!.providerCost).toBeUndefined()
  })

  it('lets a target say otherwise than its model, field by field', () => {
    const [first, second] = parsed({
      targets: [
        {
          ...target,
          price: { output_per_million: 9 },
          context_window: 8,
          prefill: false,
          capabilities: [],
          timeouts: { idle: '2s' },
        },
        { ...target, model: 'n', prefill: { continue_final_message: true, add_generation_prompt: false } },
      ],
      price: { input_per_million: 2, output_per_million: 3, per_image: 0.04 },
      context_window: 16,
      prefill: true,
      capabilities: ['audio'],
      timeouts: { idle: '1s', total: '9s' },
    }).targets
    expect(first).toMatchObject({
      price: { inputPerMillion: 2e6, outputPerMillion: 9e6, cachedInputPerMillion: 2e6, perImage: 40_000 },
      contextWindow: 8,
      prefill: undefined,
      capabilities: [],
      timeouts: { idleMs: 2_000, totalMs: 9_000, headersMs: undefined },
    })
    expect(second).toMatchObject({
      price: { outputPerMillion: 3e6 },
      contextWindow: 16,
      prefill: { continue_final_message: true, add_generation_prompt: false },
      capabilities: ['audio'],
      timeouts: { idleMs: 1_000 },
    })
  })

  it('takes from the built-in table what the file does not say, by the name at the provider, then by its own', () => {
    const targets = [target, { provider: 'local', model: 'llama' }, { ...target, model: 'gpt-4o' }]
    const rows = parsed({ targets, price: { output_per_million: 1 } }, 'gpt-4o-mini').targets
    expect(
      rows.map(({ price }) => [price.inputPerMillion, price.cachedInputPerMillion, price.outputPerMillion]),
    ).toEqual([
      [150_000, 75_000, 1e6],
      [150_000, 75_000, 1e6],
      [2_500_000, 1_250_000, 1e6],
    ])
    expect(rows.map(({ contextWindow }) => contextWindow)).toEqual([128_000, undefined, 128_000])
  })

  const bad: [unknown, string][] = [
    [null, 'the file must be an object of providers, models'],
    ['text', 'the file must be an object of providers, models'],
    [{ models: {} }, 'providers is missing: it must be an object of providers'],
    [{ providers, models: {} }, 'models must hold at least one model'],
    [{ providers: {}, models: { m: { targets: [target] } } }, 'providers must hold at least one provider'],
    [{ ...file({}), routes: 1 }, 'the file has an unknown field, routes; allowed are providers, models'],
    [file({ m: { targets: [] } }), 'models.m.targets must hold at least one target'],
    [file({ m: {} }), 'models.m.targets is missing: it must be a list of targets'],
    [
      file({ m: { targets: [target], fallback: 'x' } }),
      'models.m has an unknown field, fallback; allowed are targets, strategy',
    ],
    [file({ m: { targets: [target], strategy: 'random' } }), 'models.m.strategy must be one of priority, weighted'],
    [file({ 'gpt-4.1': { targets: [{}] } }), 'models["gpt-4.1"].targets[0].provider is missing: it must be'],
    [file({ 'a b': { targets: [target] } }), 'models["a b"] must have a name of 1 to 128'],
    [file({ 'gpt-*': { targets: [target] } }), 'or be "*"'],
    [file({ other: { targets: [target] } }), 'models.other has a name that the gateway uses itself'],
    [one({ model: 'other' }), 'models.m.targets[0].model has a name that the gateway uses itself'],
    [
      one({ provider: 'sk-canary' }),
      'models.m.targets[0].provider is not a provider of this file; there are openai, local',
    ],
    [one({ weight: 0 }), 'models.m.targets[0].weight must be a number above 0'],
    [one({ weight: -1 }), 'above 0'],
    [one({ weight: Number.NaN }), 'above 0'],
    [one({ weight: '1' }), 'above 0'],
    [one({ priority: 0.5 }), 'models.m.targets[0].priority must be an integer from 0'],
    [one({ model: '' }), 'models.m.targets[0].model must be 1 to 128 letters'],
    [one({ price: { input_per_million: -1 } }), 'price.input_per_million must be a number from 0'],
    [
      one({ price: { input: 1 } }),
      'models.m.targets[0].price has an unknown field, input; allowed are input_per_million',
    ],
    [one({ context_window: 0 }), 'context_window must be an integer from 1'],
    [one({ prefill: 'yes' }), 'prefill must be true, false or an object'],
    [one({ prefill: { messages: [] } }), 'other than model, messages, stream'],
    [one({ capabilities: ['video'] }), 'capabilities[0] must be one of tools, images, audio, json_schema'],
    [one({ capabilities: ['tools', 'tools'] }), 'capabilities holds something twice'],
    [one({ timeouts: { idle: 10 } }), 'timeouts.idle must be a duration such as'],
    [one({ timeouts: { idle: '10' } }), 'timeouts.idle must be a duration such as'],
    [one({ timeouts: { idle: '0s' } }), 'timeouts.idle must be a duration from 1ms'],
    [one({ timeouts: { idle: '600h' } }), 'timeouts.idle must be a duration from 1ms to 596h'],
    [one({ when: { tier: 3 } }), 'when.tier must be a text'],
    [one({ when: { tier: [] } }), 'when.tier must be a text'],
    [file({ m: { targets: [target, target] } }), 'models.m.targets[1] is there twice'],
    [file({ m: { targets: [target, { ...target, model: 'm' }] } }), 'models.m.targets[1] is there twice'],
    [
      file({ m: { targets: [target] } }, { p: { kind: 'azure', base_url: 'http://h' } }),
      'providers.p.kind must be one of openai',
    ],
    [
      file({ m: { targets: [target] } }, { p: { kind: 'openai' } }),
      'providers.p.base_url is missing: it must be an http://',
    ],
    [file({ m: { targets: [target] } }, { 'a:b': providers.local }), 'providers["a:b"] must have a name of 1 to 40'],
    [
      file({ m: { targets: [target] } }, { vastai: providers.local }),
      'providers.vastai has a name that the gateway uses',
    ],
  ]
  it.each(bad.map(([document, message]) => ({ document, message })))(
    'refuses a file: $message',
    ({ document, message }) => {
      expect(refusal(document)).toContain(message)
    },
  )

  it.each(['api.test', 'ftp://h', 'http://h/?key=canary', 'http://canary:x@h/v1', 'http://h/#canary', '', 7])(
    'refuses the base URL %s',
    (base_url) => {
      const message = refusal(file({ m: { targets: [target] } }, { p: { kind: 'openai', base_url } }))
      expect(message).toContain('providers.p.base_url must be an http:// or https:// URL')
    },
  )

  it('allows one target under two conditions', () => {
    const targets = [{ ...target, when: { tier: 'gold' }, weight: 2 }, target]
    expect(parsed({ targets }).targets).toHaveLength(2)
  })

  it('never shows a value', () => {
    const p = (fields: object) => file({ m: { targets: [target] } }, { p: { ...providers.local, ...fields } })
    for (const document of [
      p({ api_keys: ['sk canary'] }),
      p({ api_keys: 'sk-canary' }),
      p({ api_keys: ['sk-canary', 'sk-canary'] }),
      p({ base_url: 'http://canary@h' }),
      p({ headers: { authorization: 'Basic canary\r\nx: y' } }),
      p({ headers: ['canary'] }),
      one({ provider: 'canary', model: 'x' }),
      one({ timeouts: { idle: 'canary' } }),
    ]) {
      expect(refusal(document)).not.toContain('canary')
    }
  })

  it.each(['Host', 'content-length', 'Transfer-Encoding', 'proxy-authorization', 'a b'])(
    'refuses the header %s',
    (name) => {
      const message = refusal(
        file({ m: { targets: [target] } }, { p: { ...providers.local, headers: { [name]: 'x' } } }),
      )
      expect(message).toContain('providers.p.headers')
    },
  )

  it('bounds how many there are of everything', () => {
    const many = <T>(count: number, value: T) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, value]))
    expect(refusal(file(many(257, { targets: [target] })))).toContain('models must hold at most 256 models')
    expect(refusal(file({ m: { targets: [target] } }, many(63, providers.local)))).toContain('at most 64 providers')
    const targets = Array.from({ length: 17 }, (_, i) => ({ ...target, model: `m${i}` }))
    expect(refusal(file({ m: { targets } }))).toContain('models.m.targets must hold at most 16 targets')
    expect(parseRoutingTable(file(many(256, { targets: targets.slice(1) }))).models.size).toBe(256)
  })
})
