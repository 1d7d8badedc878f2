import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createSilenceWatch } from './silence-watch.ts'

function watched() {
  const clock = new FakeClock()
  const watch = createSilenceWatch({ clock })
  const send = (calls: number) => {
    for (let i = 0; i < calls; i++) watch.sent()
  }
  const answerAfter = (ms: number) => {
    send(1)
    clock.tick(ms)
    watch.heard(ms)
  }
  return { clock, watch, send, answerAfter }
}

describe('silence', () => {
  it('is that ten wait, and nobody has been answered for a second', () => {
    const { clock, watch, send, answerAfter } = watched()
    answerAfter(50)
    send(10)
    clock.tick(1_000)
    expect(watch.silentForMs()).toBe(0)
    clock.tick(1)
    expect(watch.silentForMs()).toBe(1_001)
  })

  it('is not that nine wait', () => {
    const { clock, watch, send, answerAfter } = watched()
    answerAfter(50)
    send(9)
    clock.tick(60_000)
    expect(watch.silentForMs()).toBe(0)
    send(1)
    expect(watch.silentForMs()).toBe(60_000)
  })

  it('counts from the latest answer, or from the first who waited', () => {
    const { clock, watch, send, answerAfter } = watched()
    answerAfter(50)
    clock.tick(30_000)
    send(11)
    clock.tick(900)
    watch.heard(900)
    clock.tick(2_700)
    expect(watch.silentForMs()).toBe(0)
    clock.tick(1)
    expect(watch.silentForMs()).toBe(2_701)
    watch.heard(3_601)
    expect(watch.silentForMs()).toBe(0)
  })

  it.each([
    ['of this minute', 0, 60_000],
    ['of the minute before', 60_000, 60_000],
    ['and not of one before that', 120_000, 1_000],
  ])('must be three times as long as the longest answer %s', (_, laterMs, silentMs) => {
    const { clock, watch, send, answerAfter } = watched()
    answerAfter(20_000)
    for (let ms = 0; ms < laterMs; ms += 60_000) {
      clock.tick(60_000)
      answerAfter(10)
    }
    send(10)
    clock.tick(silentMs)
    expect(watch.silentForMs()).toBe(0)
    clock.tick(1)
    expect(watch.silentForMs()).toBe(silentMs + 1)
  })

  it.each([0, 60_000])('must be three times as long as the longest, whatever came after it (%i ms on)', (laterMs) => {
    const { clock, watch, send, answerAfter } = watched()
    answerAfter(10)
    clock.tick(laterMs)
    for (const ms of [10, 20_000, 10, 500, 10]) answerAfter(ms)
    send(10)
    clock.tick(60_000)
    expect(watch.silentForMs()).toBe(0)
    clock.tick(1)
    expect(watch.silentForMs()).toBe(60_001)
  })

  it('is unknown where nothing was ever answered', () => {
    const { clock, watch, send } = watched()
    send(11)
    clock.tick(600_000)
    expect(watch.silentForMs()).toBe(0)
    watch.heard(600_000)
    clock.tick(1_800_000)
    expect(watch.silentForMs()).toBe(0)
    clock.tick(1)
    expect(watch.silentForMs()).toBe(1_800_001)
  })

  it('ends when those who waited have given up', () => {
    const { clock, watch, send, answerAfter } = watched()
    answerAfter(50)
    send(10)
    clock.tick(4_000)
    expect(watch.silentForMs()).toBe(4_000)
    watch.unheard()
    expect(watch.silentForMs()).toBe(0)
  })
})
