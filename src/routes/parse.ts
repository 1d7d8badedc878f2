/** A schema's complaint as a 400 that names the field and says what it should be. Values are never quoted. */
import * as z from 'zod'
import { ApiError } from '../errors.ts'

/** Of bodies and queries of routes that take none. */
export const nothing = z.strictObject({})

/** In a query every value is a text. */
export const numeral = z
  .string()
  .max(40)
  .regex(/^[+-]?(\d+(?:\.\d*)?|\.\d+)(e[+-]?\d+)?$/i, 'must be a number')
  .transform(Number)
/** How many, in a query, and how many where it is not said. */
export const count = (most: number, usual: number) => numeral.pipe(z.int().min(1).max(most)).default(usual)

export function parseOr400<S extends z.ZodType>(
  schema: S,
  value: unknown,
  code: 'invalid_body' | 'invalid_query' = 'invalid_body',
) {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data as z.output<S>
  const { issues } = parsed.error
  // A name that is misspelt leaves the right one missing, which is said first and names no culprit.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => pathTo([...issue.path, key]))
    const message = `Unknown field: ${names.join(', ').slice(0, maxShown)}. Leave it out.`
    throw new ApiError(code, { message, param: names[0]! })
  }
  const param = pathTo(issue.path)
  // Where a rule has words of its own they say more.
  const isMissing = issue.message.startsWith('Invalid input') && valueAt(value, issue.path) === undefined
  const message = isMissing ? 'is missing' : issue.message
  throw new ApiError(code, param ? { message: `${param}: ${message}.`, param } : { message: `${message}.` })
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce((inner: unknown, key) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[key], value)

/** A name in it may be the caller's own, and as long as a body. */
const maxShown = 200
const pathTo = (path: readonly PropertyKey[]) => path.join('.').slice(0, maxShown)
