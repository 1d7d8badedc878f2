import { describe, expect, test } from 'vitest'
import type { Passwords } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { createPasswords } from './passwords.ts'

const cheap = { memoryKib: 64, passes: 1 }
const passwords: Passwords = createPasswords({ clock, cost: cheap })
const password = 'correct horse battery staple 9'

describe('a password', () => {
  test('is right against its own hash, and no other is', async () => {
    const hash = await passwords.hash(password)
    expect(await passwords.check(password, hash)).toBe('right')
    for (const wrong of ['', 'correct horse battery staple', `${password} `, password.toUpperCase(), '\0']) {
      expect(await passwords.check(wrong, hash)).toBe('wrong')
    }
  })

  test('is hashed with a salt of its own each time, and is not in the hash', async () => {
    const [first, second] = [await passwords.hash(password), await passwords.hash(password)]
    expect(first).not.toBe(second)
    expect(first).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
    expect(first).not.toContain(password.slice(0, 7))
  })

  test('is the same in other code points for the same letters', async () => {
    const hash = await passwords.hash('Zürich Straße café 12')
    expect(await passwords.check('Zürich Straße café 12'.normalize('NFD'), hash)).toBe('right')
  })

  test('is right and outdated where the cost was raised since', async () => {
    const hash = await passwords.hash(password)
    const dearer = createPasswords({ clock, cost: { memoryKib: 128, passes: 2 } })
    expect(await dearer.check(password, hash)).toBe('outdated')
    expect(await dearer.check('another password', hash)).toBe('wrong')
    expect(await dearer.check(password, await dearer.hash(password))).toBe('right')
  })

  test('is wrong where there is no hash, whatever it is', async () => {
    expect(await passwords.check(password, undefined)).toBe('wrong')
  })

  test('costs at least what OWASP advises, unless told otherwise', async () => {
    expect(await createPasswords({ clock }).hash(password)).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })
})

test('more than fit into the queue are refused, and told when to come back', async () => {
  const many = await Promise.allSettled(Array.from({ length: 80 }, () => passwords.hash(password)))
  const refused = many.filter((result) => result.status === 'rejected')
  expect(refused).toHaveLength(80 - 2 - 64)
  expect(refused[0]?.reason).toMatchObject({ code: 'overloaded', options: { retryAfterMs: 2_000 } })
  expect(await passwords.hash(password)).toBeDefined()
})

test('a generated password is long, and another each time', () => {
  const made = Array.from({ length: 100 }, passwords.generate)
  expect(new Set(made).size).toBe(100)
  for (const each of made) expect(each).toMatch(/^[\w-]{20}$/)
})
