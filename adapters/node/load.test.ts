import { describe, expect, it } from 'vitest'
import { createLoadProbe, memoryLimit } from './load.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const busyFor = (ms: number) => {
  const end = performance.now() + ms
  while (performance.now() < end);
}

describe('the load probe', () => {
  it('tells of the time since it was last asked: busy and late while the loop is held up, then no more', async () => {
    const { probe, close } = createLoadProbe()
    await turn()
    probe()
    for (let i = 0; i < 3; i++) {
      await turn()
      busyFor(60)
    }
    const held = probe()
    expect(held.utilisation).toBeGreaterThan(0.5)
    expect(held.delayP99Ms).toBeGreaterThan(20)
    expect(held.delayP50Ms).toBeGreaterThan(20)
    expect(held.delayP50Ms).toBeLessThanOrEqual(held.delayP99Ms)
    close()
  })

  it('calls a loop that has not turned since late by that time, not in time', () => {
    const { probe, close } = createLoadProbe()
    probe()
    busyFor(80)
    const held = probe()
    expect(held.delayP99Ms).toBeGreaterThan(50)
    expect(held.delayP50Ms).toBe(held.delayP99Ms)
    close()
  })

  it('tells which share of its memory the process holds', () => {
    const { probe, close } = createLoadProbe()
    const { memoryShare } = probe()
    expect(memoryShare).toBeGreaterThan(0)
    expect(memoryShare).toBeLessThan(1)
    close()
  })
})

describe('the memory limit', () => {
  it.each([
    ['the control group allows less than there is', 512, 4_096, 512],
    ['there is no control group', 0, 4_096, 4_096],
    ['the control group says "none" as a large number', 2 ** 63, 4_096, 4_096],
  ])('where %s', (_what, constrained, total, limit) => {
    expect(memoryLimit(constrained, total)).toBe(limit)
  })
})
