import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FakeClock, settled } from '../../../tests/support/fake-clock.ts'
import { createMemoryTier } from '../memory-tier.ts'
import { createHttpCache, type HandleOptions } from './http-cache.ts'
import { createMemoryStore } from './memory-store.ts'

const url = 'https://edge.test/page'
const fresh = { 'cache-control': 'max-age=60' }

function world(options: { maxBodyBytes?: number; maxVariants?: number; maxWaiting?: number } = {}) {
  const clock = new FakeClock()
  const memory = createMemoryTier({ maxBytes: 1024 * 1024 })
  const cache = createHttpCache({
    store: createMemoryStore(memory),
    clock,
    refuse: () => new Response(null, { status: 504 }),
    ...options,
  })
  const asked: { request: Request; answer(response: Response): void; fail(error: Error): void }[] = []
  const next = (request: Request) =>
    new Promise<Response>((answer, fail) => {
      asked.push({ request, answer, fail })
    })
  const background = (_work: Promise<void>) => {}
  const get = (init: RequestInit = {}, more: Partial<HandleOptions> = {}) =>
    cache.handle(new Request(url, init), next, { background, ...more })
  /** Answers whatever is asked for from now on. */
  const got = async (answer: ReturnType<typeof get>) => {
    const { response, use } = await answer
    return [use, await response.text()]
  }
  return { clock, cache, asked, get, got }
}

test('of an encoded answer, whose bytes are kept decoded, no part is made', async () => {
  const { asked, get, got } = world()
  const first = got(get())
  await settled()
  asked[0]!.answer(new Response('page', { headers: { ...fresh, 'content-encoding': 'gzip', etag: '"v1"' } }))
  await first
  const { response, use } = await get({ headers: { range: 'bytes=0-1' } })
  expect([use, response.status, response.headers.get('content-range')]).toEqual(['hit', 200, null])
  expect(await response.text()).toBe('page')
  const known = await get({ headers: { range: 'bytes=0-1', 'if-none-match': '"v1"' } })
  expect([known.use, known.response.status]).toEqual(['hit', 304])
})

describe('callers who ask the same at once', () => {
  test('are answered by one question', async () => {
    const { asked, get, got } = world()
    const all = Array.from({ length: 20 }, () => got(get()))
    await settled()
    expect(asked).toHaveLength(1)
    asked[0]!.answer(new Response('page', { headers: fresh }))
    expect((await Promise.all(all)).map(([use, text]) => `${use} ${text}`).sort()).toEqual([
      ...Array(19).fill('hit page'),
      'miss page',
    ])
  })

  test.each([
    ['is its first caller’s own', { 'cache-control': 'private' }],
    ['is not to be kept', { 'cache-control': 'no-store' }],
    ['was chosen by a header that others have not', { ...fresh, vary: 'x-name' }],
  ])('each ask for themselves where the answer %s', async (_, headers) => {
    const { asked, get, got } = world()
    const all = ['a', 'b', 'c'].map((name) => got(get({ headers: { 'x-name': name } })))
    await settled()
    expect(asked).toHaveLength(1)
    asked[0]!.answer(new Response('of a', { headers }))
    await settled()
    expect(asked).toHaveLength(3)
    for (const { request, answer } of asked.slice(1)) {
      answer(new Response(`of ${request.headers.get('x-name')}`, { headers }))
    }
    expect(await Promise.all(all)).toEqual([
      ['miss', 'of a'],
      ['miss', 'of b'],
      ['miss', 'of c'],
    ])
  })

  test('find another to lead when the first fails, and only one', async () => {
    const { asked, get, got } = world()
    const first = got(get())
    const others = Array.from({ length: 5 }, () => got(get()))
    await settled()
    asked[0]!.fail(new Error('reset'))
    await expect(first).rejects.toThrow('reset')
    await settled()
    expect(asked).toHaveLength(2)
    asked[1]!.answer(new Response('page', { headers: fresh }))
    expect((await Promise.all(others)).map(([use]) => use).sort()).toEqual(['hit', 'hit', 'hit', 'hit', 'miss'])
  })

  test('leave without a word to the others', async () => {
    const { asked, get, got } = world()
    const controller = new AbortController()
    const first = got(get())
    const leaver = got(get({ signal: controller.signal }))
    const third = got(get())
    await settled()
    controller.abort(new Error('left'))
    await expect(leaver).rejects.toThrow('left')
    asked[0]!.answer(new Response('page', { headers: fresh }))
    expect([await first, await third]).toEqual([
      ['miss', 'page'],
      ['hit', 'page'],
    ])
    expect(asked).toHaveLength(1)
  })

  test('wait neither for ever nor in any number', async () => {
    const { clock, asked, get } = world({ maxWaiting: 2 })
    for (let i = 0; i < 4; i++) void get().catch(() => {})
    await settled()
    expect(asked).toHaveLength(2)
    await clock.advance(10_000)
    await settled()
    // One of the two who waited leads the other.
    expect(asked).toHaveLength(3)
    await clock.advance(10_000)
    await settled()
    expect(asked).toHaveLength(4)
  })

  test('are not held up by one who never comes back', async () => {
    const { clock, asked, get, got } = world()
    void get().catch(() => {})
    await settled()
    await clock.advance(9_000)
    const early = got(get())
    await settled()
    expect(asked).toHaveLength(1)
    await clock.advance(1_000)
    const late = got(get())
    await settled()
    expect(asked).toHaveLength(2)
    asked[1]!.answer(new Response('own', { headers: { 'cache-control': 'private' } }))
    await settled()
    asked[2]!.answer(new Response('own', { headers: { 'cache-control': 'private' } }))
    expect([await early, await late]).toEqual([
      ['miss', 'own'],
      ['miss', 'own'],
    ])
    // Nor is anybody after that.
    void get().catch(() => {})
    await settled()
    expect(asked).toHaveLength(4)
  })

  test('are answered anew behind a stale one although a renewal never came back', async () => {
    const { clock, asked, get, got } = world()
    const headers = { 'cache-control': 'max-age=60, stale-while-revalidate=600' }
    const first = got(get())
    await settled()
    asked[0]!.answer(new Response('page', { headers }))
    await first
    await clock.advance(61_000)
    for (const renewals of [1, 1, 2]) {
      expect(await got(get())).toEqual(['stale', 'page'])
      await settled()
      expect(asked).toHaveLength(1 + renewals)
      await clock.advance(6_000)
    }
  })

  test('need not wait for the one who leads to read what he is sent', async () => {
    const { asked, get, got } = world()
    const slow = get()
    const other = got(get())
    await settled()
    asked[0]!.answer(new Response('page', { headers: fresh }))
    expect(await other).toEqual(['hit', 'page'])
    expect(await (await slow).response.text()).toBe('page')
  })
})

test('callers who ask at once for what is stale cause one validation', async () => {
  const { clock, asked, get, got } = world()
  const first = got(get())
  await settled()
  asked[0]!.answer(new Response('page', { headers: { ...fresh, etag: '"a"' } }))
  await first
  await clock.advance(61_000)
  const all = Array.from({ length: 10 }, () => got(get()))
  await settled()
  expect(asked).toHaveLength(2)
  asked[1]!.answer(new Response(null, { status: 304, headers: { ...fresh, etag: '"a"' } }))
  expect((await Promise.all(all)).map(([use, text]) => `${use} ${text}`).sort()).toEqual([
    ...Array(9).fill('hit page'),
    'revalidated page',
  ])
})

test('what was on its way when its tag was purged is not kept for use', async () => {
  const { clock, cache, asked, get, got } = world()
  const first = got(get())
  await settled()
  await clock.advance(5)
  await cache.purge('a')
  await clock.advance(5)
  asked[0]!.answer(new Response('old', { headers: { ...fresh, 'cache-tag': 'a' } }))
  expect(await first).toEqual(['miss', 'old'])
  void get().catch(() => {})
  await settled()
  expect(asked).toHaveLength(2)
})

test('what was on its way when its URL was changed is not kept', async () => {
  const { clock, asked, get, got } = world()
  const first = got(get())
  await settled()
  await clock.advance(5)
  const change = get({ method: 'POST', body: 'x' })
  await settled()
  asked[1]!.answer(new Response('changed'))
  await change
  asked[0]!.answer(new Response('old', { headers: fresh }))
  expect(await first).toEqual(['miss', 'old'])
  void get().catch(() => {})
  await settled()
  expect(asked).toHaveLength(3)
})

test('a validation that names a header to choose by is taken at its word', async () => {
  const { asked, get, got } = world()
  const german = { headers: { 'accept-language': 'de' } }
  const first = got(get(german))
  await settled()
  asked[0]!.answer(new Response('deutsch', { headers: { ...fresh, etag: '"a"' } }))
  await first
  const second = got(get({ headers: { ...german.headers, 'cache-control': 'no-cache' } }))
  await settled()
  asked[1]!.answer(new Response(null, { status: 304, headers: { etag: '"a"', vary: 'accept-language' } }))
  await second
  expect((await got(get(german)))[0]).toBe('hit')
  void get({ headers: { 'accept-language': 'en' } }).catch(() => {})
  await settled()
  expect(asked).toHaveLength(3)
})

test.each([
  ['a cookie', { 'set-cookie': 'session=of-a' }],
  ['that it is private', { 'cache-control': 'private, max-age=60' }],
  ['that it is not to be stored', { 'cache-control': 'no-store' }],
])('what a validation adds (%s) goes to nobody else', async (_, added) => {
  const { asked, get, got } = world()
  const first = got(get())
  await settled()
  asked[0]!.answer(new Response('page', { headers: { ...fresh, etag: '"a"' } }))
  await first
  const second = get({ headers: { 'cache-control': 'no-cache' } })
  await settled()
  asked[1]!.answer(new Response(null, { status: 304, headers: { etag: '"a"', ...added } }))
  expect((await second).use).toBe('revalidated')
  void get().catch(() => {})
  await settled()
  expect(asked).toHaveLength(3)
})

test('a longer answer than may be kept is handed on whole', async () => {
  const { asked, get, got } = world({ maxBodyBytes: 10 })
  for (let i = 0; i < 2; i++) {
    const answer = got(get())
    await settled()
    asked[i]!.answer(new Response('x'.repeat(100), { headers: fresh }))
    expect(await answer).toEqual(['miss', 'x'.repeat(100)])
  }
})

test('what carries a purged tag is asked for anew', async () => {
  const { clock, cache, asked, get, got } = world()
  const headers = { ...fresh, 'cache-tag': 'A, b' }
  for (const [i, tag] of ['a', 'B', 'c'].entries()) {
    const answer = got(get())
    await settled()
    if (i < 3 && asked.length > i) asked[i]!.answer(new Response(`page ${i}`, { headers }))
    expect((await answer)[0]).toBe('miss')
    expect((await got(get()))[0]).toBe('hit')
    await clock.advance(10)
    await cache.purge(tag)
    await clock.advance(10)
  }
  // None carries the last.
  expect(await got(get())).toEqual(['hit', 'page 2'])
})

test('of many answers to one URL the newest are kept', async () => {
  const { asked, get, got } = world({ maxVariants: 3 })
  for (let i = 0; i < 5; i++) {
    const answer = got(get({ headers: { 'x-name': String(i) } }))
    await settled()
    asked[i]!.answer(new Response(`of ${i}`, { headers: { ...fresh, vary: 'x-name' } }))
    await answer
  }
  const use = async (i: number) => (await got(get({ headers: { 'x-name': String(i) } })))[0]
  expect([await use(4), await use(3), await use(2)]).toEqual(['hit', 'hit', 'hit'])
  void get({ headers: { 'x-name': '0' } }).catch(() => {})
  await settled()
  expect(asked).toHaveLength(6)
})

/** Rows 18 to 20 of the threats: what is one caller's own is never another's, whatever URL and headers they use. */
test('no caller is ever sent what another was told alone', async () => {
  const paths = ['/me', '/me/', '/ME', '/me?a=1&b=2', '/me?b=2&a=1', '/me/x.css', '/m%65', '/me?']
  const identities = [
    {},
    { authorization: 'Bearer a' },
    { authorization: 'Bearer b' },
    { cookie: 'session=c' },
    { 'x-api-key': 'd' },
  ]
  const policies = [
    undefined,
    'max-age=60',
    'private, max-age=60',
    'no-store',
    'no-cache',
    'max-age=60, private="x-owner"',
    's-maxage=60, private',
    'public, max-age=60',
    's-maxage=60',
    'must-revalidate, max-age=60',
  ]
  const varies = [undefined, 'authorization', 'Cookie', '*', 'x-forwarded-host']
  const step = fc.record({
    path: fc.oneof({ weight: 3, arbitrary: fc.constant('/me') }, fc.constantFrom(...paths)),
    identity: fc.constantFrom(...identities),
    policy: fc.constantFrom(...policies),
    vary: fc.constantFrom(...varies),
    method: fc.constantFrom('GET', 'HEAD', 'POST'),
    status: fc.constantFrom(200, 200, 200, 404, 500),
    extra: fc.constantFrom(
      {},
      { 'x-forwarded-host': 'evil.test' },
      { 'x-original-url': '/me' },
      { range: 'bytes=0-3' },
    ),
    setsCookie: fc.boolean(),
    group: fc.constantFrom(undefined, 'members' as const),
    waitMs: fc.constantFrom(0, 0, 1_000, 70_000),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 30 }), async (steps) => {
      const clock = new FakeClock()
      const cache = createHttpCache({
        store: createMemoryStore(createMemoryTier({ maxBytes: 1024 * 1024 })),
        clock,
        refuse: () => new Response(null, { status: 504 }),
      })
      let answers = 0
      for (const { path, identity, policy, vary, method, status, extra, setsCookie, group, waitMs } of steps) {
        await clock.advance(waitMs)
        const owner = JSON.stringify(identity)
        /** The origin says it is for all: then it does not speak of who asked. */
        const isForAll = /public|s-maxage|must-revalidate/.test(policy ?? '') && !/private/.test(policy ?? '')
        const isAnonymous = owner === '{}' && !/private(?!=)|no-store/.test(policy ?? '')
        const isShared = (isForAll || isAnonymous) && !setsCookie && vary !== 'authorization' && vary !== 'Cookie'
        const next = async (asked: Request) => {
          const headers = new Headers({ 'content-type': 'text/plain' })
          if (policy !== undefined) headers.set('cache-control', policy)
          if (vary !== undefined) headers.set('vary', vary)
          if (setsCookie) headers.set('set-cookie', 'session=new')
          const host = asked.headers.get('x-forwarded-host')
          if (host !== null && vary === 'x-forwarded-host') headers.set('x-reflected', host)
          const own = `of ${owner} ${++answers} at ${path}`
          return new Response(method === 'HEAD' ? null : isShared ? `for all at ${path}` : own, { status, headers })
        }
        const request = new Request(`https://edge.test${path}`, {
          method,
          headers: { ...identity, ...extra },
          ...(method === 'POST' && { body: 'x' }),
        })
        const { response } = await cache.handle(request, next, { background() {}, ...(group && { group }) })
        const text = await response.text()
        await settled()
        if (text.startsWith('of ')) expect(text.startsWith(`of ${owner} ${answers} at`)).toBe(true)
        if (response.headers.has('x-reflected')) expect(request.headers.get('x-forwarded-host')).toBe('evil.test')
        if (response.headers.has('set-cookie')) expect(setsCookie).toBe(true)
        // Another spelling of a path is another path to an origin.
        if (/ at /.test(text) && response.status === 200) expect(text.slice(text.indexOf(' at ') + 4)).toBe(path)
      }
    }),
    { numRuns: 1_500, verbose: 1 },
  )
})

describe('where the origin has to say something about a caller, and cannot', () => {
  const stale = { 'cache-control': 'max-age=60, stale-if-error=600' }

  test.each([
    [true, 'stale page'],
    [false, 'error'],
  ])('what is stored stands in for it only where it was said a while ago: %s', async (cover, wanted) => {
    const { clock, asked, get, got } = world()
    const first = got(get())
    await settled()
    asked[0]!.answer(new Response('page', { headers: stale }))
    await first
    await clock.advance(70_000)
    const outcomes = [get({}, { ask: true, cover }), get({}, { ask: true, cover })].map((answer) =>
      got(answer).then(
        ([use, text]) => (text === 'page' ? `${use} ${text}` : 'error'),
        () => 'error',
      ),
    )
    await settled()
    asked[1]!.answer(new Response('no database', { status: 503 }))
    asked[2]!.fail(new Error('gone'))
    expect(await Promise.all(outcomes)).toEqual([wanted, wanted])
  })
})

test('a store that fails costs nobody the origin’s answer', async () => {
  const fails = async () => Promise.reject(new Error('the store is gone'))
  const cache = createHttpCache({
    store: { get: fails, put: fails, delete: fails, purge: fails, purgedAt: fails },
    clock: new FakeClock(),
    refuse: () => new Response(null, { status: 504 }),
  })
  const next = async () => new Response('page', { headers: { ...fresh, 'cache-tag': 'a' } })
  for (const method of ['GET', 'POST', 'HEAD', 'GET']) {
    const { response } = await cache.handle(new Request(url, { method }), next, { background() {} })
    expect([response.status, await response.text()]).toEqual([200, 'page'])
    await settled()
  }
  await expect(cache.purge('a')).rejects.toThrow('the store is gone')
})
