import { expect, test } from 'vitest'
import * as z from 'zod'
import { ApiError } from '../errors.ts'
import { count, parseOr400 } from './parse.ts'

const schema = z
  .strictObject({
    name: z.string().optional(),
    limits: z.strictObject({ each: z.array(z.strictObject({ most: z.number() })) }).optional(),
  })
  .refine((value) => Object.keys(value).length > 0, 'Nothing to change')

function complaintAbout(value: unknown) {
  try {
    parseOr400(schema, value)
  } catch (error) {
    if (error instanceof ApiError) return { code: error.code, message: error.message, param: error.options.param }
  }
  return undefined
}

test.each<[unknown, string | undefined, string]>([
  [{ nome: 'a' }, 'nome', 'Unknown field: nome. Leave it out.'],
  [{ limits: { each: [], all: 1, some: 2 } }, 'limits.all', 'Unknown field: limits.all, limits.some. Leave it out.'],
  [
    { limits: { each: [{ most: 1, least: 1 }] } },
    'limits.each.0.least',
    'Unknown field: limits.each.0.least. Leave it out.',
  ],
  [{ name: 5 }, 'name', 'name: Invalid input: expected string, received number.'],
  [{ limits: { each: [{}] } }, 'limits.each.0.most', 'limits.each.0.most: is missing.'],
  // About the whole: it has no name to begin with.
  [{}, undefined, 'Nothing to change.'],
])('%j is complained about by the way to what is wrong', (value, param, message) => {
  expect(complaintAbout(value)).toEqual({ code: 'invalid_body', message, param })
})

test('a name as long as a body does not come back whole', () => {
  const long = 'x'.repeat(10_000)
  const complaint = complaintAbout({ [long]: 1 })
  expect(complaint?.param).toHaveLength(200)
  expect(complaint?.message.length).toBeLessThan(250)
})

test.each<[string | undefined, number | undefined]>([
  [undefined, 50],
  ['200', 200],
  ['5.0', 5],
  ['201', undefined],
  ['0', undefined],
  ['1.5', undefined],
  ['0x10', undefined],
  ['0b1', undefined],
  [' 5', undefined],
  ['', undefined],
])('as how many to list %j is %j', (text, number) => {
  const parsed = count(200, 50).safeParse(text)
  expect(parsed.data).toBe(number)
})
