import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { ApiError } from '../errors.ts'
import { createBodyBudget } from './body-budget.ts'
import { createReadForm, parseFormBody } from './form-body.ts'
import { createReadJson } from './json-body.ts'
import type { AppContext } from './request-context.ts'

const encoder = new TextEncoder()
const type = 'multipart/form-data; boundary=XbX'

const part = (name: string, value: string, more = '') =>
  `--XbX\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
const file = part('file', 'sound', '; filename="a.mp3"\r\ncontent-type: audio/mpeg')
const model = part('model', 'whisper-1')
const end = '--XbX--\r\n'
const parse = (text: string, contentType = type) => parseFormBody(encoder.encode(text), contentType)

async function refusal(text: string, contentType = type): Promise<ApiError> {
  try {
    await parse(text, contentType)
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError)
    return error as ApiError
  }
  return expect.fail('was not refused')
}

describe('a form', () => {
  it('is given back with its bytes as they came, its fields and the names of its files', async () => {
    const bytes = encoder.encode(model + file + part('stream', 'true') + end)
    expect(await parseFormBody(bytes, type)).toEqual({
      bytes,
      contentType: type,
      fields: { model: 'whisper-1', stream: 'true' },
      files: ['file'],
    })
    expect((await parseFormBody(bytes, type)).bytes).toBe(bytes)
  })

  it.each([
    'Multipart/Form-Data; boundary=XbX',
    'multipart/form-data;boundary="XbX"',
    'multipart/form-data; charset=utf-8; boundary=XbX',
    'multipart/form-data; boundary=XbX; charset=utf-8',
  ])('may say %s', async (contentType) => {
    expect((await parse(model + file + end, contentType)).fields.model).toBe('whisper-1')
  })

  it('keeps lists, and names that objects have already', async () => {
    const lists = part('timestamp_granularities[]', 'word') + part('timestamp_granularities[]', 'segment')
    const { fields } = await parse(model + file + lists + part('__proto__', 'x') + end)
    expect(Object.keys(fields)).toEqual(['model', 'timestamp_granularities[]', '__proto__'])
  })

  it.each([
    ['no file', model + end, 'file', /missing/],
    ['a file that is text', model + part('file', 'sound') + end, 'file', /filename/],
    ['no model', file + end, 'model', /missing/],
    ['an empty model', file + part('model', '') + end, 'model', /missing/],
    ['a model that is a file', file + part('model', 'm', '; filename="m"') + end, 'model', /missing/],
    ['two models', model + file + part('model', 'other') + end, 'model', /more than once/],
    ['two files', model + file + file + end, 'file', /more than once/],
    [
      'two opinions on streaming',
      model + file + part('stream', 'true') + part('stream', 'false') + end,
      'stream',
      /once/,
    ],
    ['nothing', end, 'file', /missing/],
    ['not even an end', '', undefined, /not a readable form/],
    ['a cut', (model + file).slice(0, -4), undefined, /not a readable form/],
    ['another boundary', (model + file + end).replaceAll('--XbX', '--XcX'), undefined, /not a readable form/],
    ['text', 'model=whisper-1&file=canary', undefined, /not a readable form/],
    ['100 parts', part('canary', '').repeat(100) + end, undefined, /at most 99/],
    ['a part without a name', `--XbX\r\ncanary: 1\r\n\r\n\r\n${end}`, undefined, /not a readable form/],
    ['endless headers', `--XbX\r\n${'canary: 1\r\n'.repeat(1_000)}\r\n\r\n${end}`, undefined, /not a readable form/],
    ['one endless header', `--XbX\r\n${'canary'.repeat(2_000)}: 1\r\n\r\n\r\n${end}`, undefined, /not a readable form/],
  ])('with %s is refused in words that say what to do and quote nothing', async (_what, text, param, says) => {
    const error = await refusal(text)
    expect(error).toMatchObject({ code: 'invalid_body', status: 400 })
    expect(error.options.param).toBe(param)
    expect(error.message).toMatch(says)
    expect(error.message).not.toMatch(/canary/)
    expect(error.cause).toBeUndefined()
  })

  it('of 99 parts is not too much, and what looks like a delimiter within a file is none', async () => {
    const many = await parse(model + file + part('x', '').repeat(97) + end)
    expect(many.files).toEqual(['file'])
    const odd = part('file', '--XcX\r\n--Xb\r\n\r\n--\r\n'.repeat(200), '; filename="a.mp3"')
    expect((await parse(model + odd + end)).fields).toEqual({ model: 'whisper-1' })
  })

  it('is read or refused with a 400, whatever bytes there are', async () => {
    const soup = fc.array(
      fc.constantFrom(
        '--XbX',
        '--',
        '\r\n',
        '\n',
        '\r',
        'content-disposition: form-data; name="model"',
        '"',
        file,
        model,
      ),
      { maxLength: 20 },
    )
    await fc.assert(
      fc.asyncProperty(soup, async (parts) => {
        try {
          expect((await parse(parts.join(''))).fields.model).toMatch(/./)
        } catch (error) {
          if (!(error instanceof ApiError)) throw error
          expect(error.status).toBe(400)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('reading a form', () => {
  const megabyte = 1024 * 1024

  function world(maxInFlightBytes = 30 * megabyte) {
    const metrics = new FakeMetrics()
    let reads = 0
    const budget = createBodyBudget({
      metrics,
      maxInFlightBytes,
      readBody: async () => {
        reads++
        return encoder.encode(model + file + end)
      },
    })
    const readForm = createReadForm(budget)
    const readJson = createReadJson(budget)
    const context = (headers: Record<string, string>) => {
      const endings: (() => void)[] = []
      const raw = new Request('http://gw/v1/x', { method: 'POST' })
      const c = {
        req: { raw, header: (name: string) => headers[name] },
        env: {},
        get: () => ({ onEnd: (fn: () => void) => endings.push(fn) }),
      } as unknown as AppContext
      return { c, end: () => endings.splice(0).forEach((ending) => void ending()) }
    }
    return { readForm, readJson, context, reads: () => reads }
  }

  it.each([
    '',
    'application/json',
    'multipart/form-data',
    'multipart/mixed; boundary=XbX',
    'multipart/form-data; boundary=',
  ])('refuses the type %j unread, and says which it wants', async (contentType) => {
    const { readForm, context, reads } = world()
    await expect(readForm(context({ 'content-type': contentType }).c)).rejects.toMatchObject({
      code: 'unsupported_media_type',
      message: expect.stringContaining('multipart/form-data; boundary='),
    })
    expect(reads()).toBe(0)
  })

  it('refuses a declared length beyond 26 MB, and an encoding, unread', async () => {
    const { readForm, context, reads } = world()
    const read = (headers: Record<string, string>) => readForm(context({ 'content-type': type, ...headers }).c)
    await expect(read({ 'content-length': `${26 * megabyte + 1}` })).rejects.toMatchObject({ code: 'body_too_large' })
    await expect(read({ 'content-encoding': 'gzip' })).rejects.toMatchObject({ code: 'unsupported_encoding' })
    expect(reads()).toBe(0)
    expect((await read({ 'content-length': `${26 * megabyte}` })).fields.model).toBe('whisper-1')
  })

  it('shares its bytes with JSON bodies, until the answer has ended', async () => {
    const { readForm, readJson, context } = world()
    const first = context({ 'content-type': type, 'content-length': `${26 * megabyte}` })
    const second = context({ 'content-type': 'application/json', 'content-length': `${5 * megabyte}` })
    const reading = readForm(first.c)
    await expect(readJson(second.c)).rejects.toMatchObject({ code: 'overloaded' })
    await reading
    await expect(readJson(second.c)).rejects.toMatchObject({ code: 'invalid_json' })
    first.end()
    second.end()
  })
})
