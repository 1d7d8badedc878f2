/** What markets, networks and machines do to the pods, and what of it the checks have to know. */
import type { Fault } from '../../adapters/sandbox/faults.ts'
import type { Lie } from '../../adapters/sandbox/market-controls.ts'
import type { Dice } from './dice.ts'
import { count } from './tally.ts'
import type { FakeMarket, World } from './world.ts'

export interface Mischief {
  /** Something goes wrong. */
  happen(): void
  /** Nothing goes wrong any more, and the markets tell the truth. */
  end(): void
  /** Machines that lists have left out, once. */
  omitted: ReadonlySet<string>
  /** Machines that the charges have left out, once. */
  uncharged: ReadonlySet<string>
  /** Machines and offers that have cost more than was agreed. */
  dearer: ReadonlySet<string>
  /** Machines that nobody has asked for. */
  duplicates: ReadonlySet<string>
}

const creating = { vastai: { method: 'PUT', path: '/asks/' }, ionet: { method: 'POST', path: '/deploy' } } as const
const lists = {
  vastai: { method: 'GET', path: '/api/v1/instances/' },
  ionet: { method: 'GET', path: '/deployments' },
} as const
/** What is bought for an hour and never heard of is over before a longer outage is, and nobody can be charged for it. */
const longestMs = 40 * 60_000
const instead = ['reset', 'hang', 'html_502'] as const

export function createMischief(world: World, dice: Dice): Mischief {
  const { markets, tally, tell, clock } = world
  const omitted = new Set<string>()
  const uncharged = new Set<string>()
  const dearer = new Set<string>()
  const duplicates = new Set<string>()
  const told = new Map<FakeMarket, Lie[]>()
  const inForce = new Map<FakeMarket, symbol>()

  const weights = {
    ...{ lost_answers: 4, refusals: 3, silence: 2, garbage: 2, down: 1, truth: 2 },
    ...{ lost_host: 2, outbid: 1, dearer: 1, raced: 2, duplicate: 2, slow_destroy: 2 },
    ...{ empty_list: 1, short_list: 2, wrong_status: 1, ghost: 1, no_charges: 1, costs_more: 1 },
  }

  function happen() {
    const market = dice.pick(markets)
    const kind = dice.weighted(weights)
    if (!act(market, kind)) return
    tell(`${market.name}: ${kind}`)
    count(tally, `fault ${kind}`)
  }

  /** False: there was nothing that it could happen to. */
  function act(market: FakeMarket, kind: keyof typeof weights): boolean {
    const { name, vendor, server } = market
    const { controls } = vendor
    const machines = controls.machines()
    const set = (...faults: Fault[]) => {
      const mine = Symbol()
      inForce.set(market, mine)
      server.setFaults(faults)
      clock.setTimer(longestMs, () => inForce.get(market) === mine && server.setFaults([]))
      return true
    }
    const lie = (...lies: Lie[]) => {
      told.set(market, [...(told.get(market) ?? []), ...lies])
      controls.lie(...told.get(market)!)
      return lies.length > 0
    }
    const some = machines.length > 0 ? dice.pick(machines) : undefined
    switch (kind) {
      case 'lost_answers': {
        const match = dice.pick([creating[name], creating[name], { method: 'DELETE' }, { path: '/extend' }, {}])
        return set({ kind: 'swallow_reply', instead: dice.pick(instead), match, probability: dice.between(0.3, 1) })
      }
      case 'refusals':
        return set({ kind: 'status', status: dice.pick([429, 429, 500, 503]), probability: dice.between(0.2, 0.9) })
      case 'silence':
        return set(
          { kind: 'hang', probability: 0.2 },
          { kind: 'reset', probability: 0.2 },
          { kind: 'slow_headers', ms: dice.between(2_000, 20_000), probability: 0.5 },
        )
      case 'garbage':
        return set(
          { kind: dice.pick(['not_json', 'empty_204', 'html_502']), probability: dice.between(0.2, 0.6) },
          { kind: 'clean_cut', afterTokens: 1, match: lists[name], probability: 0.5 },
        )
      case 'down':
        server.goDown()
        clock.setTimer(dice.between(1_000, 120_000), () => server.comeBack())
        return true
      case 'truth':
        quieten(market)
        return true
      case 'lost_host':
        if (some) controls.loseHost(some.id)
        return some !== undefined
      case 'outbid':
        if (some && 'outbid' in controls) controls.outbid(some.id)
        return some !== undefined && 'outbid' in controls
      case 'dearer':
        if (!some || name !== 'vastai') return false
        controls.raisePrice(some.id, dice.between(1.02, 3))
        dearer.add(some.id)
        return true
      case 'raced':
        controls.raceOffer(dice.pick(world.offered[name]).id.slice(name.length + 1), dice.between(1_000, 600_000))
        return true
      case 'duplicate': {
        if (!some) return false
        duplicates.add(controls.duplicateLabel(some.id))
        return true
      }
      case 'slow_destroy':
        controls.setDestroyDelay(
          name === 'vastai' && dice.chance(0.3) ? Number.POSITIVE_INFINITY : dice.between(0, 90_000),
        )
        return true
      case 'empty_list':
      case 'short_list': {
        const left = kind === 'short_list' ? machines.filter(() => dice.chance(0.5)) : machines
        for (const { id } of left) omitted.add(id)
        return lie(...left.map(({ id }): Lie => ({ kind: 'omits', id })))
      }
      case 'wrong_status': {
        const status = dice.pick(['rebooting', 'offline', 'exited', 'stopped', 'running', 'failed', null])
        return some ? lie({ kind: 'status', id: some.id, status }) : false
      }
      case 'ghost': {
        const gone = controls.bill().filter(({ ended }) => ended)
        return gone.length > 0 ? lie({ kind: 'shows_destroyed', id: dice.pick(gone).id }) : false
      }
      case 'no_charges':
        if (!some || name !== 'vastai') return false
        uncharged.add(some.id)
        return lie({ kind: 'no_charges', id: some.id })
      case 'costs_more': {
        const offer = dice.pick(world.offered[name])
        dearer.add(offer.id)
        return lie({ kind: 'costs_more', id: offer.id.slice(name.length + 1), factor: dice.between(1.05, 2) })
      }
    }
  }

  function quieten(market: FakeMarket) {
    const { server, vendor } = market
    inForce.delete(market)
    server.setFaults([])
    server.comeBack()
    told.delete(market)
    vendor.controls.lie()
    vendor.controls.setDestroyDelay(market.name === 'vastai' ? 0 : 3_000)
  }

  return { ...{ happen, omitted, uncharged, dearer, duplicates }, end: () => markets.forEach(quieten) }
}
