import { createHmac, createSign, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { type AccessTokens, createAccessTokens, plausibleToken } from './access-tokens.ts'

const secret = 'the secret that signs access tokens now'
const previousSecret = 'the secret that signed them until lately'
const session = {
  accountId: '00000000-0000-7000-8000-00000000000a',
  sessionId: '00000000-0000-7000-8000-00000000000b',
}
const id = '00000000-0000-7000-8000-00000000000c'
const lifetimeMs = 3_600_000

let clock: FakeClock
let tokens: AccessTokens
const create = (own: { secret: string; previousSecret?: string }) =>
  createAccessTokens({ clock, newId: () => id, lifetimeMs, ...own })
beforeEach(() => {
  clock = new FakeClock()
  tokens = create({ secret, previousSecret })
})

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const sign = (text: string, key = secret, hash = 'sha256') => createHmac(hash, key).update(text).digest('base64url')
const nowS = () => Math.floor(clock.wallNow() / 1000)
const header = { alg: 'HS256', typ: 'JWT' }
const good = () => ({
  iss: 'aiserve-gpuproxy',
  aud: 'aiserve-gpuproxy/api',
  sub: session.accountId,
  sid: session.sessionId,
  jti: id,
  iat: nowS(),
  exp: nowS() + 3_600,
})
/** Signed with the right secret: what is wrong is in the header or the claims. */
const forge = (claims: unknown, head: unknown = header, key = secret) => {
  const signed = `${encode(head)}.${encode(claims)}`
  return `${signed}.${sign(signed, key)}`
}

describe('a token', () => {
  test('that was issued stands for its session, until it expires', async () => {
    const { token, expiresAt } = await tokens.issue(session)
    expect(await tokens.verify(token)).toEqual(session)
    expect(expiresAt.getTime()).toBe(Math.floor(clock.wallNow() / 1000) * 1000 + lifetimeMs)
  })

  test('is what any library would make of the same claims', async () => {
    expect(await tokens.verify(forge(good()))).toEqual(session)
    expect((await tokens.issue(session)).token).toBe(forge(good()))
  })

  test('is longer than any API key, so that neither is ever taken for the other', async () => {
    const { token } = await tokens.issue(session)
    expect(token.length).toBeGreaterThan(200)
    expect(token).toMatch(plausibleToken)
  })

  test('that the previous secret signed is taken, and one of the secret before is not', async () => {
    const { token } = await create({ secret: previousSecret }).issue(session)
    expect(await tokens.verify(token)).toEqual(session)
    expect(await create({ secret }).verify(token)).toBeUndefined()
  })

  test.each([-61, -60, 0, 60, 61])('may be seen by a clock that is %i s ahead of its end', async (aheadS) => {
    const { token, expiresAt } = await tokens.issue(session)
    clock.stepWall(expiresAt.getTime() + aheadS * 1000 - clock.wallNow())
    expect(await tokens.verify(token)).toEqual(aheadS <= 60 ? session : undefined)
  })

  test.each([59, 60, 61, 3_600])('may be seen by a clock that is %i s behind its beginning', async (behindS) => {
    const { token } = await tokens.issue(session)
    clock.stepWall(-behindS * 1000)
    expect(await tokens.verify(token)).toEqual(behindS <= 60 ? session : undefined)
  })

  test('with any character changed, taken out or added is none', async () => {
    const { token } = await tokens.issue(session)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ '
    await fc.assert(
      fc.asyncProperty(
        fc.nat(token.length - 1),
        fc.constantFrom(...alphabet),
        fc.constantFrom('change', 'add', 'drop'),
        async (at, char, how) => {
          const rest = token.slice(how === 'add' ? at : at + 1)
          const altered = token.slice(0, at) + (how === 'drop' ? '' : char) + rest
          fc.pre(altered !== token)
          expect(await tokens.verify(altered)).toBeUndefined()
        },
      ),
    )
  })
})

describe('a forged token is refused, and nothing is fetched for it:', () => {
  let fetched: ReturnType<typeof vi.spyOn>
  beforeEach(() => {
    fetched = vi.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('not to be called'))
  })
  afterEach(() => {
    expect(fetched).not.toHaveBeenCalled()
    vi.restoreAllMocks()
  })

  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }) as string

  const without = (field: keyof ReturnType<typeof good>) => {
    const { [field]: _, ...rest } = good()
    return forge(rest)
  }
  const forgeries: Record<string, () => string> = {
    'alg none without a signature': () => `${encode({ alg: 'none', typ: 'JWT' })}.${encode(good())}.`,
    'alg None, with a signature': () => forge(good(), { alg: 'None', typ: 'JWT' }),
    'our header without a signature': () => `${encode(header)}.${encode(good())}.`,
    'HS512 with the right secret': () => {
      const signed = `${encode({ alg: 'HS512', typ: 'JWT' })}.${encode(good())}`
      return `${signed}.${sign(signed, secret, 'sha512')}`
    },
    'HS384 said, HS256 done': () => forge(good(), { alg: 'HS384', typ: 'JWT' }),
    RS256: () => {
      const signed = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(good())}`
      return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`
    },
    'RS256 said, signed as HS256 with the public key': () => forge(good(), { alg: 'RS256', typ: 'JWT' }, publicPem),
    'HS256 with the public key': () => forge(good(), header, publicPem),
    'another secret': () => forge(good(), header, 'a secret of somebody else altogether'),
    'an empty secret': () => {
      const signed = `${encode(header)}.${encode(good())}`
      return `${signed}.${createHmac('sha256', '').update(signed).digest('base64url')}`
    },
    kid: () => forge(good(), { ...header, kid: '../../../../dev/null' }),
    'kid with SQL': () => forge(good(), { ...header, kid: "x' union select 'aaaa" }),
    jku: () => forge(good(), { ...header, jku: 'http://127.0.0.1:1/keys' }),
    x5u: () => forge(good(), { ...header, x5u: 'http://127.0.0.1:1/cert' }),
    jwk: () => forge(good(), { ...header, jwk: { kty: 'oct', k: encode(secret) } }),
    crit: () => forge(good(), { ...header, crit: ['exp'] }),
    'b64 false': () => forge(good(), { ...header, b64: false }),
    'the header in another order': () => forge(good(), { typ: 'JWT', alg: 'HS256' }),
    'a header with alg twice': () => forge(good(), '{"alg":"none","alg":"HS256","typ":"JWT"}'),
    'the signature of another token': () => {
      const [head, , signature] = forge({ ...good(), jti: session.accountId }).split('.')
      return `${head}.${encode(good())}.${signature}`
    },
    'truncated by one': () => forge(good()).slice(0, -1),
    'without its last part': () => forge(good()).split('.').slice(0, 2).join('.'),
    'with a fourth part': () => `${forge(good())}.AAAA`,
    'base64 with padding': () => `${forge(good())}=`,
    'another spelling of the same signature': () => {
      const token = forge(good())
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      // The last character of 32 bytes holds two bits of nothing.
      return token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1)!) ^ 1]
    },
    'a JWE of five parts': () => `${encode({ alg: 'dir', enc: 'A256GCM' })}.${encode(good())}.AAAA.AAAA.AAAA`,
    'claims that are no JSON': () => forge('x'.repeat(250)),
    'claims that are a list': () => forge([good()]),
    'claims that are null': () => forge('null'.padEnd(200, ' ')),
    'exp missing': () => without('exp'),
    'exp null': () => forge({ ...good(), exp: null }),
    'exp a text': () => forge({ ...good(), exp: String(nowS() + 3_600) }),
    'exp a fraction': () => forge({ ...good(), exp: nowS() + 3_600.5 }),
    'exp 1e300': () => forge(JSON.stringify(good()).replace(/"exp":\d+/, '"exp":1e300')),
    'exp 1e999': () => forge(JSON.stringify(good()).replace(/"exp":\d+/, '"exp":1e999')),
    'exp true': () => forge({ ...good(), exp: true }),
    'exp a list': () => forge({ ...good(), exp: [nowS() + 3_600] }),
    'exp negative': () => forge({ ...good(), exp: -1 }),
    expired: () => forge({ ...good(), iat: nowS() - 3_700, exp: nowS() - 61 }),
    'iat missing': () => without('iat'),
    'iat to come': () => forge({ ...good(), iat: nowS() + 61 }),
    'iat a text': () => forge({ ...good(), iat: String(nowS()) }),
    'nbf to come': () => forge({ ...good(), nbf: nowS() + 61 }),
    'iss missing': () => without('iss'),
    'iss another': () => forge({ ...good(), iss: 'https://evil.test' }),
    'iss in a list': () => forge({ ...good(), iss: ['aiserve-gpuproxy'] }),
    'aud missing': () => without('aud'),
    'aud another': () => forge({ ...good(), aud: 'another service' }),
    'aud a list that holds it': () => forge({ ...good(), aud: ['aiserve-gpuproxy/api', 'another service'] }),
    'sub missing': () => without('sub'),
    'sub no id': () => forge({ ...good(), sub: "' or true --" }),
    'sid missing': () => without('sid'),
    'jti missing': () => without('jti'),
    'more than is ever issued': () => forge({ ...good(), is_admin: true }),
    'very long': () => forge({ ...good(), padding: 'x'.repeat(10_000) }),
    nothing: () => '',
    'three dots': () => '...',
  }
  test.each(Object.keys(forgeries))('%s', async (what) => {
    expect(await tokens.verify(forgeries[what]!())).toBeUndefined()
  })
})
