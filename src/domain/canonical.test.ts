import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonical } from './canonical.ts'

it('has one text for one meaning, and another for another', () => {
  const jsonValue = fc.jsonValue({ noUnicodeString: false })
  fc.assert(
    fc.property(jsonValue, jsonValue, (a, b) => {
      const [one, other] = [canonical(a), canonical(b)]
      fc.pre(one !== undefined)
      expect(canonical(JSON.parse(JSON.stringify(shuffled(a))))).toBe(one)
      if (one === other) expect(JSON.parse(JSON.stringify(a))).toEqual(JSON.parse(JSON.stringify(b)))
      expect(JSON.parse(one)).toEqual(JSON.parse(JSON.stringify(a)))
    }),
    { numRuns: 1_000 },
  )
})

it('has none where reading has changed a number', () => {
  expect(canonical(JSON.parse('{"seed":9007199254740993}'))).toBeUndefined()
  expect(canonical(JSON.parse('[[9007199254740993]]'))).toBeUndefined()
  expect(canonical(JSON.parse('{"a":1e0,"b":1}'))).toBe('{"a":1,"b":1}')
  expect(canonical(JSON.parse('{"__proto__":1}'))).toBe('{"__proto__":1}')
})

/** The same with the keys in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, each]) => [key, shuffled(each)]),
  )
}
