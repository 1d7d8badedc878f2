/** What every keeper of sightings promises. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Sightings } from '../../src/ports.ts'

export function sightingsContract(name: string, create: () => Promise<Sightings>): void {
  describe(`${name}, as all sightings,`, () => {
    let sightings: Sightings
    beforeEach(async () => {
      sightings = await create()
    })

    const at = (s: number) => new Date(Date.UTC(2026, 10, 25, 12, 0, s))
    const see = (s: number, machineId = '1', label: string | undefined = 'ours') =>
      sightings.note('vastai', [{ machineId, label, at: at(s) }])

    it('tell since when a machine is seen, and in how many lists', async () => {
      expect(await see(0)).toEqual([{ machineId: '1', firstSeenAt: at(0), times: 1 }])
      expect(await see(30)).toEqual([{ machineId: '1', firstSeenAt: at(0), times: 2 }])
      expect(await see(30), 'told again of one list').toEqual([{ machineId: '1', firstSeenAt: at(0), times: 2 }])
      expect(await see(10), 'and of one before').toEqual([{ machineId: '1', firstSeenAt: at(0), times: 2 }])
      expect(await see(40)).toEqual([{ machineId: '1', firstSeenAt: at(0), times: 3 }])
    })

    it('keep the markets apart, and machines that have the same id and another label', async () => {
      await see(0)
      const elsewhere = await sightings.note('ionet', [{ machineId: '1', label: 'ours', at: at(5) }])
      expect(elsewhere).toEqual([{ machineId: '1', firstSeenAt: at(5), times: 1 }])
      expect(await see(30, '1', 'another')).toEqual([{ machineId: '1', firstSeenAt: at(30), times: 1 }])
      expect(await see(60, '1', undefined)).toEqual([{ machineId: '1', firstSeenAt: at(60), times: 1 }])
      expect(await see(90, '1', undefined)).toEqual([{ machineId: '1', firstSeenAt: at(60), times: 2 }])
    })

    it('take many at once, one of them twice, and none', async () => {
      const machines = ['1', '2', '3', '2'].map((machineId) => ({ machineId, label: undefined, at: at(0) }))
      const noted = await sightings.note('vastai', machines)
      expect(noted.map(({ machineId, times }) => [machineId, times]).sort()).toEqual([
        ['1', 1],
        ['2', 1],
        ['3', 1],
      ])
      expect(await sightings.note('vastai', [])).toEqual([])
    })

    it('forget what was not seen since, of that market', async () => {
      await see(0, '1')
      await see(30, '2')
      await sightings.note('ionet', [{ machineId: '1', label: undefined, at: at(0) }])
      await sightings.forget('vastai', at(30))
      expect(await see(60, '1')).toMatchObject([{ times: 1 }])
      expect(await see(60, '2')).toMatchObject([{ times: 2 }])
      expect(await sightings.note('ionet', [{ machineId: '1', label: undefined, at: at(60) }])).toMatchObject([
        { times: 2 },
      ])
    })
  })
}
