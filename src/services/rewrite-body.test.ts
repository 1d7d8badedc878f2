import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonKey, jsonValue } from '../../tests/support/json.ts'
import { parseJsonBody } from '../middleware/json-body.ts'
import { rewriteBody } from './rewrite-body.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const rewrite = (text: string, fields: Record<string, unknown>) =>
  decoder.decode(rewriteBody(parseJsonBody(encoder.encode(text)), fields))

describe('rewriting a body', () => {
  it('means the value with the fields in it, whatever the body and the fields', () => {
    const key = fc.oneof(jsonKey, fc.constantFrom('model', 'store'))
    const object = fc.dictionary(key, jsonValue, { maxKeys: 6, noNullPrototype: true })
    fc.assert(
      fc.property(object, object, fc.constantFrom(0, 1, '\t'), (value, fields, indent) => {
        const text = ` \n${JSON.stringify(value, null, indent)} `
        const meant = JSON.parse(rewrite(text, fields)) as object
        expect(meant).toEqual(JSON.parse(JSON.stringify({ ...JSON.parse(text), ...fields })))
      }),
      { numRuns: 2_000 },
    )
  })

  it('leaves the bytes alone where there is nothing to change', () => {
    const body = parseJsonBody(encoder.encode('{"a":1}'))
    expect(rewriteBody(body, {})).toBe(body.bytes)
  })

  it('puts what is missing in front and leaves every other byte as it was', () => {
    const text = '\ufeff {  "n":12345678901234567890, "x" : 1.0e+2,"s":"\\u00e4\\/"} \n'
    expect(rewrite(text, { store: false, model: 'm' })).toBe(text.slice(1).replace('{', '{"store":false,"model":"m",'))
  })

  it('adds to an object that is empty', () => {
    expect(rewrite('{ }', { a: 1 })).toBe('{"a":1 }')
    expect(rewrite('{}', { a: 1, b: [2] })).toBe('{"a":1,"b":[2]}')
  })

  it.each([
    ['the first', '{"a":1, "n":12345678901234567890 ,"x" : 1.0}', '{"a":2, "n":12345678901234567890 ,"x" : 1.0}'],
    [
      'one between',
      '{"n":12345678901234567890,"a":[1,{"a":"}"}] , "x":1e400}',
      '{"a":2,"n":12345678901234567890, "x":1e400}',
    ],
    ['the last', '{"n":12345678901234567890,"x":"a","a":"\\",\\""}', '{"a":2,"n":12345678901234567890,"x":"a"}'],
    ['the only one', ' { "a" : {} } ', ' {"a":2} '],
    ['one by another spelling', '{"n":-0,"\\u0061":1}', '{"a":2,"n":-0}'],
  ])('puts %s in front and leaves the others as they were', (_which, text, out) => {
    expect(rewrite(text, { a: 2 })).toBe(out)
    expect(rewrite(text, { a: undefined })).toBe(out.replace(/"a":2,?/, ''))
  })

  it('writes an ambiguous body anew, so that nobody can read it otherwise', () => {
    expect(rewrite('{"model":"cheap","model":"dear"}', {})).toBe('{"model":"dear"}')
    expect(rewrite('{"model":"cheap","model":"dear"}', { a: 1 })).toBe('{"model":"dear","a":1}')
  })
})
