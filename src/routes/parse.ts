/** A schema's complaint as a 400 that names the field and says what it should be. Values are never quoted. */
import * as z from 'zod'
import { ApiError } from '../errors.ts'

/** Of bodies and queries of routes that take none. */
export const nothing = z.strictObject({})

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
    throw new ApiError(code, {
      message: `Unknown field: ${issue.keys.join(', ').slice(0, 200)}. Leave it out.`,
      param: issue.keys[0]!,
    })
  }
  const param = issue.path.join('.')
  throw new ApiError(code, { message: `${param}: ${issue.message}.`, ...(param && { param }) })
}
