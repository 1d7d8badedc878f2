import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createRegions, NotAnswered, NotSent, type RegionalRequest } from './regions.ts'

describe('a body that is handed on as it comes', () => {
  function world(failure: () => Error) {
    const clock = new FakeClock()
    const asked: string[] = []
    const regions = createRegions({
      origins: ['https://first.test', 'https://second.test'],
      clock,
      random: () => 0.5,
      ask: async ({ url, body }) => {
        const { hostname } = new URL(url)
        asked.push(hostname)
        if (hostname === 'first.test' && body?.locked === false && url.endsWith('/upload')) throw failure()
        return new Response(hostname)
      },
    })
    const post = (path: string, body: RegionalRequest['body']) => {
      const { signal } = new AbortController()
      return regions.send({ method: 'POST', path, headers: new Headers(), body, signal, caller: undefined })
    }
    return {
      clock,
      upload: () => post('/upload', new ReadableStream()),
      answeredBy: async () => (await post('/other', new Uint8Array(1))).text(),
    }
  }

  test('closes no region to other callers where it breaks off, which its sender may have done', async () => {
    const { upload, answeredBy } = world(() => new Error('Network connection lost.'))
    await expect(upload()).rejects.toMatchObject({ code: 'region_unreachable' })
    expect(await answeredBy()).toBe('first.test')
  })

  test('does where it never left', async () => {
    const { upload, answeredBy } = world(() => new NotSent('refused'))
    await expect(upload()).rejects.toMatchObject({ code: 'region_unreachable' })
    expect(await answeredBy()).toBe('second.test')
  })

  test('does where it goes on breaking off', async () => {
    const { clock, upload, answeredBy } = world(() => new Error('Network connection lost.'))
    for (let i = 0; i < 5; i++) {
      await expect(upload()).rejects.toMatchObject({ code: 'region_unreachable' })
      await clock.advance(300)
    }
    expect(await answeredBy()).toBe('second.test')
  })
})

test('a slow read is asked of no second region where its caller has changed something in the first', async () => {
  const clock = new FakeClock()
  let slow = false
  const asked: string[] = []
  const regions = createRegions({
    origins: ['https://first.test', 'https://second.test'],
    clock,
    random: () => 0.5,
    ask: async ({ url }) => {
      asked.push(new URL(url).hostname)
      if (slow && url.startsWith('https://first.test')) return new Promise<Response>(() => {})
      return new Response()
    },
  })
  const { signal } = new AbortController()
  const request = { path: '/api/v1/things', headers: new Headers(), body: null, signal }
  const read = (caller: string) => regions.send({ ...request, method: 'GET', caller })
  for (let i = 0; i < 200; i++) await read('a')
  await regions.send({ ...request, method: 'POST', caller: 'a' })
  slow = true
  asked.length = 0
  void read('a')
  await clock.advance(1_000)
  expect(asked).toEqual(['first.test'])
  asked.length = 0
  const other = read('b')
  await clock.advance(1_000)
  await other
  expect(asked).toEqual(['first.test', 'second.test'])
})

describe('a region that takes a request and never answers', () => {
  function world() {
    const clock = new FakeClock()
    const asked: string[] = []
    const regions = createRegions({
      origins: ['https://first.test', 'https://second.test'],
      clock,
      random: () => 0.5,
      ask: async ({ url, signal }) => {
        const { hostname } = new URL(url)
        asked.push(hostname)
        if (hostname === 'second.test') return new Response(hostname)
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
    })
    const caller = new AbortController()
    const send = (method: string, path: string) =>
      regions.send({ method, path, headers: new Headers(), body: null, signal: caller.signal, caller: undefined })
    return { clock, asked, caller, send }
  }

  test('is left for the next one by a read, and is asked no more where it goes on so', async () => {
    const { clock, asked, send } = world()
    for (let i = 0; i < 5; i++) {
      const read = send('GET', '/v1/models')
      await clock.advance(10_000)
      expect(await (await read).text()).toBe('second.test')
    }
    expect(asked.filter((name) => name === 'first.test')).toHaveLength(5)
    asked.length = 0
    expect(await (await send('POST', '/v1/x')).text()).toBe('second.test')
    expect(asked).toEqual(['second.test'])
  })

  test.each([
    ['POST', '/v1/chat/completions'],
    ['GET', '/api/v1/gpu/instances/1/proxy/events?wait=1'],
  ])('is waited for by what may take long: %s %s', async (method, path) => {
    const { clock, asked, caller, send } = world()
    const asking = send(method, path)
    await clock.advance(600_000)
    expect(asked).toEqual(['first.test'])
    caller.abort()
    await expect(asking).rejects.toThrow()
  })

  test('is not left by a read where nobody else would be asked', async () => {
    const clock = new FakeClock()
    const { promise: answered, resolve: answer } = Promise.withResolvers<Response>()
    const regions = createRegions({
      origins: ['https://only.test'],
      clock,
      random: () => 0.5,
      ask: () => answered,
    })
    const { signal } = new AbortController()
    const read = regions.send({
      method: 'GET',
      path: '/v1/models',
      headers: new Headers(),
      body: null,
      signal,
      caller: undefined,
    })
    await clock.advance(60_000)
    answer(new Response('late'))
    expect(await (await read).text()).toBe('late')
  })
})

test('one completion that outlasts the network closes no region to other callers', async () => {
  const clock = new FakeClock()
  const regions = createRegions({
    origins: ['https://first.test', 'https://second.test'],
    clock,
    random: () => 0.5,
    ask: async ({ url }) => {
      if (url.endsWith('/v1/chat/completions')) throw new NotAnswered('the network says 524')
      return new Response(new URL(url).hostname)
    },
  })
  const { signal } = new AbortController()
  const post = (path: string) =>
    regions.send({ method: 'POST', path, headers: new Headers(), body: null, signal, caller: undefined })
  await expect(post('/v1/chat/completions')).rejects.toMatchObject({ code: 'region_unreachable' })
  expect(await (await post('/v1/embeddings')).text()).toBe('first.test')
})
