import { expect, it } from 'vitest'
import { FakeClock } from '../../../tests/support/fake-clock.ts'
import { watchForMissedMessages } from './missed-messages.ts'

function world(sent: number | undefined = 0) {
  const clock = new FakeClock()
  const redis: { sent: number | undefined } = { sent }
  const told: number[] = []
  const watch = watchForMissedMessages({
    clock,
    random: () => 0.5,
    count: async () => redis.sent,
    onMissed: () => void told.push(clock.now()),
  })
  const polls = (n: number) => clock.advance(2_000 * n)
  return { clock, redis, told, watch, polls }
}

it('says nothing while all that is sent is heard, be it a little late', async () => {
  const { redis, told, watch, polls } = world(70)
  await polls(1)
  for (let i = 0; i < 10; i++) {
    redis.sent!++
    await polls(1)
    watch.heard(71 + i)
    await polls(1)
  }
  expect(told).toEqual([])
})

it('tells of a message that was not heard, within two looks and once', async () => {
  const { redis, told, polls } = world()
  await polls(1)
  redis.sent!++
  await polls(1)
  expect(told).toHaveLength(0)
  await polls(1)
  expect(told).toHaveLength(1)
  await polls(10)
  expect(told).toHaveLength(1)
})

it('tells of one missed among many that were heard', async () => {
  const { redis, told, watch, polls } = world()
  await polls(1)
  redis.sent! += 100
  for (let i = 1; i < 100; i++) watch.heard(i)
  await polls(2)
  expect(told).toHaveLength(1)
})

it('tells of one missed where others were heard twice, and of none where all came, in any order', async () => {
  const { redis, told, watch, polls } = world()
  await polls(1)
  redis.sent! += 5
  for (const number of [5, 2, 5, 1, 1, 3, 2]) watch.heard(number)
  await polls(1)
  watch.heard(4)
  await polls(3)
  expect(told).toHaveLength(0)
  redis.sent! += 3
  for (const number of [8, 6, 6, 8, 6]) watch.heard(number)
  await polls(2)
  expect(told).toHaveLength(1)
  watch.heard(7)
  redis.sent!++
  watch.heard(9)
  await polls(3)
  expect(told).toHaveLength(1)
})

it('tells of another Redis, and counts on from there', async () => {
  const { redis, told, watch, polls } = world(50)
  await polls(1)
  redis.sent = 0
  await polls(1)
  expect(told).toHaveLength(1)
  redis.sent++
  watch.heard(1)
  await polls(5)
  expect(told).toHaveLength(1)
})

it('waits where it cannot tell, and stops when it is closed', async () => {
  const { clock, redis, told, watch, polls } = world()
  await polls(1)
  redis.sent = undefined
  await polls(5)
  redis.sent = 1
  await polls(2)
  expect(told).toHaveLength(1)
  watch.close()
  expect(clock.pendingTimers).toBe(0)
})
