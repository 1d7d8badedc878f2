import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createRegions, NotSent, type RegionalRequest } from './regions.ts'

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
