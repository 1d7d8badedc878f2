import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createFirstToken } from './first-token.ts'

function world() {
  const clock = new FakeClock()
  return { clock, ...createFirstToken({ clock }) }
}

it('is not known before the first stream, and then goes along with the latest', () => {
  const { ms, asked, began } = world()
  expect(ms()).toBeUndefined()
  asked()
  expect(ms()).toBeUndefined()
  began(1_000)
  began(500)
  expect(ms()).toBe(900)
})

it('is looked at anew after a minute, by one request, and then counts from there', async () => {
  const { clock, ms, asked, began } = world()
  began(8_000)
  await clock.advance(59_999)
  expect(ms()).toBe(8_000)
  await clock.advance(1)
  expect(ms()).toBeUndefined()
  asked()
  expect(ms()).toBe(8_000)
  began(60)
  expect(ms()).toBe(60)
})

it('is looked at again after another minute, where whoever went to see never told', async () => {
  const { clock, ms, asked, began } = world()
  began(8_000)
  await clock.advance(60_000)
  asked()
  await clock.advance(59_999)
  asked()
  expect(ms()).toBe(8_000)
  await clock.advance(1)
  expect(ms()).toBeUndefined()
})

it('is fresh while requests that go there anyway tell of it', async () => {
  const { clock, ms, asked, began } = world()
  for (let i = 0; i < 5; i++) {
    asked()
    began(100)
    await clock.advance(50_000)
  }
  expect(ms()).toBe(100)
})
