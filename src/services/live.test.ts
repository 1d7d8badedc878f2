import { expect, test } from 'vitest'
import { createMetrics } from '../../adapters/node/metrics.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createLive } from './live.ts'

function world() {
  const clock = new FakeClock()
  const metrics = createMetrics()
  let renders = 0
  const live = createLive({
    clock,
    metrics: {
      render: () => {
        renders++
        return metrics.render()
      },
    },
    breakers: { list: () => [] },
    writeMode: { status: () => ({ readOnly: false, stored: false }) as never },
    version: '1',
    pod: 'pod-1',
  })
  const read = async (watching: AsyncIterator<string>) => {
    const { value } = await watching.next()
    return value === undefined ? undefined : JSON.parse((value as string).slice('data: '.length))
  }
  return { clock, metrics, live, read, renders: () => renders }
}

test('tells rates by what was counted since the look before', async () => {
  const { clock, metrics, live, read } = world()
  const watching = live.watch(new AbortController().signal, async () => true)[Symbol.asyncIterator]()
  expect(await read(watching)).toMatchObject({ pod: 'pod-1', pods: 1 })
  metrics.count(instruments.httpRequests, { method: 'GET', route: '/x', status: '200' }, 6)
  metrics.count(instruments.httpRequests, { method: 'GET', route: '/x', status: '503' }, 2)
  const next = read(watching)
  await clock.advance(2_000)
  expect(await next).toMatchObject({ requests_per_s: 4, failed_per_s: 1, refused_per_s: 0 })
  await watching.return?.()
})

test('looks once for all who watch at the same time, and ends with the pod', async () => {
  const { clock, live, read, renders } = world()
  const both = [0, 1].map(() => live.watch(new AbortController().signal, async () => true)[Symbol.asyncIterator]())
  await Promise.all(both.map(read))
  expect(renders()).toBe(1)
  const ends = both.map(read)
  live.stop()
  await clock.advance(0)
  expect(await Promise.all(ends)).toEqual([undefined, undefined])
})

test('looks no more often for those who came at another time, and tells them the same', async () => {
  const { clock, metrics, live, renders } = world()
  const seen: number[][] = [[], []]
  const watch = async (rates: number[]) => {
    for await (const text of live.watch(new AbortController().signal, async () => true)) {
      rates.push(JSON.parse(text.slice('data: '.length)).requests_per_s)
    }
  }
  const watching = [watch(seen[0]!)]
  await clock.advance(100)
  watching.push(watch(seen[1]!))
  for (let i = 0; i < 5; i++) {
    await clock.advance(0)
    metrics.count(instruments.httpRequests, { method: 'GET', route: '/x', status: '200' }, 20)
    await clock.advance(2_000)
  }
  expect(seen.map((rates) => rates.slice(1))).toEqual([Array(5).fill(10), Array(5).fill(10)])
  expect(renders()).toBe(6)
  live.stop()
  await Promise.all(watching)
})

test('refuses to be watched by very many, until one leaves', async () => {
  const { live, read } = world()
  const watching = Array.from({ length: 32 }, () =>
    live.watch(new AbortController().signal, async () => true)[Symbol.asyncIterator](),
  )
  await Promise.all(watching.map(read))
  const late = () => read(live.watch(new AbortController().signal, async () => true)[Symbol.asyncIterator]())
  await expect(late()).rejects.toMatchObject({ code: 'overloaded' })
  live.stop()
})

test('ends where its administrator is none any more', async () => {
  const { clock, live, read } = world()
  let isGood = true
  const watching = live.watch(new AbortController().signal, async () => isGood)[Symbol.asyncIterator]()
  expect(await read(watching)).toMatchObject({ pod: 'pod-1' })
  isGood = false
  const next = read(watching)
  await clock.advance(2_000)
  expect(await next).toBeUndefined()
})
