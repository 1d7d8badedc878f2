import { expect, test } from 'vitest'
import { errorTable } from './errors.ts'

test('every message says what happened, and then what to do', () => {
  // Nobody is left to read it.
  const { client_closed: _, ...read } = errorTable
  const says = (message: string) => message.startsWith('Send ') || /[.:;] \w/.test(message)
  expect(Object.entries(read).filter(([, { message }]) => !says(message))).toEqual([])
})
