import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createCredentials } from './credentials.ts'

const secret = 'sk-very-secret-key-12345'
const withHeaders = (headers: Record<string, string>) =>
  createCredentials({ clock: new FakeClock(), apiKeys: [], headers, onRejected: () => {} })

describe('a secret that goes out as a header', () => {
  it.each([
    ['authorization', `Bearer ${secret}`],
    ['authorization', `Basic ${btoa(`operator:${secret}`)}`],
    ['proxy-authorization', `basic ${btoa(`:${secret}`)}`],
    ['cookie', `lang=en; sid=${secret}; theme=dark`],
    ['x-access-code', secret],
    ['x-session', secret],
    ['x-credential', secret],
  ])('is found without the rest of it: %s: %s', (name, value) => {
    const { areIn } = withHeaders({ [name]: value })
    for (const quoted of [value, secret, encodeURIComponent(value), btoa(secret).replaceAll('=', '')]) {
      expect(areIn(`no project for ${quoted}.`), quoted).toBe(true)
    }
    expect(areIn('Bearer operator theme=dark')).toBe(false)
  })

  it('may be no base64, and short words are none', () => {
    expect(withHeaders({ authorization: 'Basic ***', 'x-key': 'short' }).areIn('Basic short')).toBe(false)
    expect(withHeaders({ 'x-team': 'search-and-ranking' }).areIn('search-and-ranking')).toBe(false)
  })
})
