import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { jsonKey, jsonValue } from '../../tests/support/json.ts'
import { ApiError } from '../errors.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createBodyBudget } from './body-budget.ts'
import { createReadJson, parseJsonBody, valueOrNone } from './json-body.ts'
import type { AppContext } from './request-context.ts'

const encoder = new TextEncoder()
const parse = (text: string | Uint8Array) => parseJsonBody(typeof text === 'string' ? encoder.encode(text) : text)

function refusal(text: string | Uint8Array): ApiError {
  try {
    parse(text)
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError)
    return error as ApiError
  }
  return expect.fail('was not refused')
}

describe('a JSON body', () => {
  it('is one object, given back with its bytes as they came', () => {
    const bytes = encoder.encode(' {"model":"m","n":12345678901234567890} \n')
    expect(parse(bytes)).toMatchObject({ value: { model: 'm' }, ambiguous: false })
    expect(parse(bytes).bytes).toBe(bytes)
  })

  it('leaves a byte order mark behind, which a provider may refuse', () => {
    expect(parse('\ufeff{"model":"m"}')).toMatchObject({
      value: { model: 'm' },
      bytes: encoder.encode('{"model":"m"}'),
      ambiguous: false,
    })
    expect(refusal('\ufeff\ufeff{"model":"m"}').code).toBe('invalid_json')
  })

  it.each([
    '',
    ' ',
    '{',
    '}',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{"a" 1}',
    "{'a':1}",
    '{"a":"x}',
    '{"a":"\\"}',
    '{}{}',
    'nul',
    '{"a":\u00a01}',
    '{"a":NaN}',
    '{"a":"\n"}',
    '}}}}{{{{',
    '{"a":01}',
    '/**/{}',
  ])('%j is refused as malformed', (text) => expect(refusal(text)).toMatchObject({ code: 'invalid_json', status: 400 }))

  it.each(['[]', '[{"a":1}]', '"text"', '1', 'null', 'true'])('%s is refused: it is no object', (text) => {
    expect(refusal(text).code).toBe('invalid_body')
  })

  it.each([
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['half a character', [0xe2, 0x82]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a byte that is never used', [0xff]],
  ])('with %s is refused, inside a string or out of it', (_name, bad) => {
    const inside = new Uint8Array([...encoder.encode('{"a":"'), ...bad, ...encoder.encode('"}')])
    const outside = new Uint8Array([...encoder.encode('{"a":1}'), ...bad])
    for (const bytes of [inside, outside]) expect(refusal(bytes).code).toBe('invalid_json')
  })

  it.each([
    ['arrays', '[', ']'],
    ['objects', '{"a":', '}'],
  ])('of %s may be nested 64 deep and no deeper', (_name, open, close) => {
    const nested = (depth: number) => `{"a":${open.repeat(depth - 1)}1${close.repeat(depth - 1)}}`
    expect(parse(nested(64)).ambiguous).toBe(false)
    expect(refusal(nested(65)).code).toBe('body_too_deep')
    expect(refusal(open.repeat(1_000_000)).code).toBe('body_too_deep')
  })

  it('may hold 50,000 keys, wherever they are, and no more', () => {
    const keys = (count: number) => Array.from({ length: count }, (_, i) => `"k${i}":${i}`).join()
    expect(Object.keys(parse(`{${keys(50_000)}}`).value)).toHaveLength(50_000)
    expect(refusal(`{${keys(50_001)}}`).code).toBe('body_too_many_keys')
    expect(parse(`{"in":[{${keys(25_000)}},{${keys(24_999)}}]}`).ambiguous).toBe(false)
    expect(refusal(`{"in":[{${keys(25_000)}},{${keys(25_000)}}]}`).code).toBe('body_too_many_keys')
  })

  it.each([
    ['500,000 values', '0', 500_000],
    // Two more are the body itself and the list around them.
    ['50,000 lists', '[]', 49_998],
    ['50,000 objects', '{}', 49_998],
  ])('may hold %s, and no more', (_what, one, most) => {
    const text = (count: number) => `{"a":[${Array.from({ length: count }, () => one).join()}]}`
    expect(parse(text(most)).ambiguous).toBe(false)
    expect(refusal(text(most + 1)).code).toBe('body_too_many_values')
  })

  it('may hold any number of braces, colons and quotes in its strings', () => {
    for (const text of [
      '{'.repeat(1_000),
      ':'.repeat(60_000),
      ','.repeat(500_001),
      '[{'.repeat(30_000),
      '"'.repeat(999),
      '\\'.repeat(999),
      '\\"'.repeat(999),
      '[]{}:,"\\',
    ]) {
      for (const padding of [0, 1, 30, 31, 32, 33, 64]) {
        const value = { ['x'.repeat(padding) + text]: 'y'.repeat(padding) + text, b: [text] }
        expect(parse(JSON.stringify(value))).toMatchObject({ value, ambiguous: false })
      }
    }
  })

  it.each([
    '{"a":1,"a":1}',
    '{"a":1,"b":2,"a":3}',
    '{"model":1,"mod\\u0065l":2}',
    '{"__proto__":1,"__proto__":2}',
    '{"a":[{"b":{"c":1,"c":2}}]}',
  ])('%s is ambiguous', (text) => expect(parse(text).ambiguous).toBe(true))

  it.each([
    '{}',
    '{"a":{"a":1},"b":[{"a":1}]}',
    '{"__proto__":{"a":1}}',
    '{"constructor":1,"toString":2}',
    '{"":0}',
    '{"1":1,"0":0}',
  ])('%s is not', (text) => expect(parse(text).ambiguous).toBe(false))

  it('means what JSON.parse takes it for, and is ambiguous exactly when a key stands twice', () => {
    const json = jsonValue.map((value) => JSON.stringify(value))
    fc.assert(
      fc.property(
        fc.array(fc.tuple(jsonKey, json), { maxLength: 8 }),
        fc.constantFrom('', ' ', '\n\t'),
        (members, space) => {
          const text = `${space}{${members.map(([name, value]) => `${space}${JSON.stringify(name)}${space}:${value}`).join()}}${space}`
          const { value, ambiguous } = parse(text)
          expect(value).toEqual(JSON.parse(text))
          expect(ambiguous).toBe(new Set(members.map(([name]) => name)).size !== members.length)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('is refused, never mistaken, whatever bytes there are', () => {
    const soup = fc.array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', '1', 'a', ' ', '"a":1', '{"a":'), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(soup, (parts) => {
        const text = parts.join('')
        let expected: unknown
        try {
          expected = JSON.parse(text)
        } catch {
          // Then a refusal is expected.
        }
        const object = typeof expected === 'object' && expected !== null && !Array.isArray(expected)
        if (object) expect(parse(text).value).toEqual(expected)
        else expect(refusal(text).status).toBe(400)
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('the refusal of a body', () => {
  it.each([
    'canary',
    '{"a": canary}',
    '{"a": "canary" canary}',
    '{"a": "canary", canary}',
    `{"a": "${'x'.repeat(500)}" canary ${'x'.repeat(500)}}`,
    ' at position 4242424242',
    '"at position 4242424242" canary at position 4242424242',
    '{"a": at position 4242424242 (line 4242424242 column 4242424242)}',
    '["canary"]',
  ])('never quotes it: %j', (text) => {
    const error = refusal(text)
    expect(error.message).not.toMatch(/canary|4242|xxx/)
    expect(JSON.stringify(error.options)).not.toMatch(/canary|4242|xxx/)
    expect(error.cause).toBeUndefined()
  })

  it('says where the parser stopped, in characters', () => {
    expect(refusal(`{"ä😀":1,,"long enough not to be quoted whole": "by the parser's message"}`).message).toBe(
      'The body is not valid JSON (at character 9). Send one JSON object.',
    )
  })
})

describe('reading a body', () => {
  const megabyte = 1024 * 1024

  function world({ body = '{"a":1}', maxInFlightBytes = 40 * megabyte } = {}) {
    const metrics = new FakeMetrics()
    let reads = 0
    const readJson = createReadJson(
      createBodyBudget({
        metrics,
        maxInFlightBytes,
        readBody: async () => {
          reads++
          return encoder.encode(body)
        },
      }),
    )
    const request = (headers: Record<string, string>) => {
      const endings: (() => void)[] = []
      const raw = new Request('http://gw/v1/x', { method: 'POST' })
      const names = new Map(Object.entries(headers))
      const c = {
        req: { raw, header: (name: string) => names.get(name) },
        env: {},
        get: () => ({ onEnd: (fn: () => void) => endings.push(fn) }),
      } as unknown as AppContext
      return {
        read: () => readJson(c),
        readOrNone: () => valueOrNone(c, readJson),
        end() {
          for (const ending of endings) ending()
        },
      }
    }
    return { metrics, request, reads: () => reads }
  }

  it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON', 'application/problem+json ;x=y'])(
    'takes %s',
    async (type) => {
      expect((await world().request({ 'content-type': type }).read()).value).toEqual({ a: 1 })
    },
  )

  it.each([undefined, '', 'text/plain', 'application/jsonx', 'text/json', 'multipart/form-data; x=application/json'])(
    'refuses the type %s unread',
    async (type) => {
      const { request, reads } = world()
      await expect(request(type === undefined ? {} : { 'content-type': type }).read()).rejects.toMatchObject({
        code: 'unsupported_media_type',
      })
      expect(reads()).toBe(0)
    },
  )

  const json = { 'content-type': 'application/json' }

  const chunked = { 'transfer-encoding': 'chunked' }

  it.each([{}, { 'content-length': '0' }, chunked, { ...chunked, ...json }])(
    'takes no body for an empty object where there need be none: %o',
    async (headers) => {
      expect(await world({ body: '' }).request(headers).readOrNone()).toEqual({})
    },
  )

  it('takes what comes in chunks for what it is also where there need be none', async () => {
    expect(
      await world()
        .request({ ...chunked, ...json })
        .readOrNone(),
    ).toEqual({ a: 1 })
    await expect(world().request(chunked).readOrNone()).rejects.toMatchObject({ code: 'unsupported_media_type' })
    await expect(
      world({ body: '' })
        .request({ ...chunked, ...json })
        .read(),
    ).rejects.toMatchObject({
      code: 'invalid_json',
    })
  })

  it('refuses an encoding unread', async () => {
    const { request, reads } = world()
    await expect(request({ ...json, 'content-encoding': 'gzip' }).read()).rejects.toMatchObject({
      code: 'unsupported_encoding',
    })
    expect(reads()).toBe(0)
    await request({ ...json, 'content-encoding': 'Identity' }).read()
  })

  it('refuses a declared length beyond 20 MB unread', async () => {
    const { request, reads } = world()
    await request({ ...json, 'content-length': `${20 * megabyte}` }).read()
    await expect(request({ ...json, 'content-length': `${20 * megabyte + 1}` }).read()).rejects.toMatchObject({
      code: 'body_too_large',
    })
    expect(reads()).toBe(1)
  })

  it('holds no more than its bytes at once, and takes more when they have come and were fewer', async () => {
    const { request, metrics } = world()
    const declared = request({ ...json, 'content-length': `${20 * megabyte}` }).read()
    const undeclared = request(json).read()
    await expect(request({ ...json, 'content-length': '1' }).read()).rejects.toMatchObject({
      code: 'overloaded',
      options: { retryAfterMs: 1_000 },
    })
    expect(metrics.counted(instruments.requestsShed, { reason: 'bodies' })).toBe(1)
    await Promise.all([declared, undeclared])
    await request({ ...json, 'content-length': '1' }).read()
  })

  it.each(['abc', '-5', '1e9', '', 'NaN', ' '])(
    'takes the length %j for unknown, and goes on counting',
    async (length) => {
      const { request } = world()
      const reading = [request({ ...json, 'content-length': length }).read(), request(json).read()]
      await expect(request({ ...json, 'content-length': '1' }).read()).rejects.toMatchObject({ code: 'overloaded' })
      await Promise.all(reading)
    },
  )
})
