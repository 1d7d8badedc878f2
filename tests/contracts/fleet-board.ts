/** What every fleet's board promises, wherever it is kept. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import type { CircuitReport } from '../../src/resilience/fleet-board.ts'
import type { FleetStore } from '../../src/resilience/fleet-store.ts'
import { createSharedBoard, type SharedBoard } from '../../src/resilience/shared-board.ts'
import { eventually } from '../support/gateway.ts'

export interface FleetStoreUnderTest {
  /** A connection of its own for each pod. */
  connect(): Promise<FleetStore>
  /** As a server that is started again, empty. */
  forget(): Promise<void>
  close?(): Promise<void>
}

export function fleetBoardContract(name: string, create: () => Promise<FleetStoreUnderTest>): void {
  describe(`${name}, as every fleet’s board,`, () => {
    let world: FleetStoreUnderTest
    const boards: SharedBoard[] = []
    let names = 0
    beforeEach(async () => {
      world = await create()
    })
    afterEach(async () => {
      await Promise.all(boards.splice(0).map((board) => board.close()))
      await world.close?.()
    })

    const join = async (pod = `pod-${++names}`) => {
      const board = createSharedBoard({ clock, random: Math.random, pod, store: await world.connect() })
      boards.push(board)
      return Object.assign(board, { pod })
    }
    const joinAll = async (count: number) => {
      const joined = await Promise.all(Array.from({ length: count }, () => join()))
      await eventually(() => joined.every((board) => board.pods() === count && board.others().size === count - 1))
      return joined
    }
    const report = (more: Partial<CircuitReport> = {}): CircuitReport => {
      const now = clock.now()
      return {
        name: 'up:gpt',
        state: 'open',
        own: true,
        byTrials: false,
        at: now - 2_000,
        until: now + 30_000,
        ...more,
      }
    }
    const said = (board: SharedBoard, circuit = 'up/gpt') => new Map(board.said(circuit))

    it('counts the pods, and misses one that leaves', async () => {
      const [a, b, c] = await joinAll(3)
      expect(a!.reachable()).toBe(true)
      await c!.close()
      await eventually(() => a!.pods() === 2 && b!.others().size === 1)
    })

    it('tells what a pod says to all others and not to itself, with its age, until it is taken back', async () => {
      const [a, b, c] = await joinAll(3)
      const told = report()
      a!.tell('up/gpt', told)
      for (const board of [b!, c!]) {
        await eventually(() => said(board).size === 1)
        const heard = said(board).get(a!.pod)!
        expect(heard).toMatchObject({ name: 'up:gpt', state: 'open', own: true, byTrials: false })
        expect(Math.abs(heard.at - told.at)).toBeLessThan(1_000)
        expect(Math.abs(heard.until - told.until)).toBeLessThan(1_000)
      }
      expect(said(a!).size).toBe(0)
      a!.tell('up/gpt', undefined)
      await eventually(() => said(b!).size === 0 && said(c!).size === 0)
    })

    it('calls a listener for what has changed, and hands on the same object for what has not', async () => {
      const [a, b] = await joinAll(2)
      const changes: string[] = []
      b!.listen({ onReports: (circuits) => void changes.push(...circuits) })
      a!.tell('up/gpt', report())
      await eventually(() => changes.includes('up/gpt'))
      const before = said(b!).get(a!.pod)
      a!.tell('up/other', report({ state: 'half_open' }))
      await eventually(() => changes.includes('up/other'))
      expect(said(b!).get(a!.pod)).toBe(before)
      expect(changes).toEqual(['up/gpt', 'up/other'])
    })

    it('tells a pod that comes later what was said before', async () => {
      const [a] = await joinAll(1)
      a!.tell('up/gpt', report({ state: 'closed', byTrials: true }))
      a!.setWord('up:gpt', 'open')
      const late = await join()
      await eventually(() => said(late).size === 1 && late.words().size === 1)
      expect(said(late).get(a!.pod)).toMatchObject({ state: 'closed', byTrials: true })
      expect([...late.words()]).toEqual([['up:gpt', 'open']])
    })

    it('grants a claim to one at a time, to the same again, and to another once it has run out', async () => {
      const [a, b] = await joinAll(2)
      // A young store grants nothing that might outlast it.
      await eventually(async () => (await a!.claim('up/gpt', 300)) === 'granted')
      expect(await b!.claim('up/gpt', 300)).toBe('held')
      expect(await b!.claim('up/other', 300)).toBe('granted')
      expect(await a!.claim('up/gpt', 300)).toBe('granted')
      await eventually(async () => (await b!.claim('up/gpt', 300)) === 'granted')
      expect(await a!.claim('up/gpt', 300)).toBe('held')
    })

    it('grants nothing, once it has lost its memory, for as long as a claim of before may be in use', async () => {
      const [a, b] = await joinAll(2)
      await eventually(async () => (await a!.claim('up/gpt', 400)) === 'granted')
      await world.forget()
      await eventually(async () => (await b!.claim('up/gpt', 60_000)) !== 'unknown')
      expect(await b!.claim('up/gpt', 60_000)).toBe('held')
      await eventually(async () => (await b!.claim('up/gpt', 400)) === 'granted')
    })

    it('carries an operator’s word to all, lets the last one hold, and has it again from the pods once it forgot', async () => {
      const [a, b, c] = await joinAll(3)
      const heard: string[] = []
      c!.listen({ onWord: (circuit, word) => void heard.push(`${circuit} ${word}`) })
      a!.setWord('up:gpt', 'open')
      await eventually(() => heard.length === 1)
      b!.setWord('up:gpt', 'closed')
      await eventually(() => heard.length === 2 && a!.words().get('up:gpt') === 'closed')
      await world.forget()
      const late = await join()
      await eventually(() => late.words().get('up:gpt') === 'closed')
      c!.setWord('up:gpt', 'auto')
      await eventually(() => [a!, b!, late].every((board) => board.words().size === 0))
      expect(heard).toEqual(['up:gpt open', 'up:gpt closed'])
    })

    it('is told again what it has forgotten', async () => {
      const [a, b] = await joinAll(2)
      a!.tell('up/gpt', report())
      await eventually(() => said(b!).size === 1)
      await world.forget()
      const late = await join()
      await eventually(() => late.pods() === 3 && said(late).size === 1)
    })
  })
}
