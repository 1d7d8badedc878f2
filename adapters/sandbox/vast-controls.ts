/** What tests do to the fake Vast.ai. */
import type { Lies, MarketControls } from './market-controls.ts'
import type { VastMachine } from './vast-catalogue.ts'
import { costOf, type VastContract, type VastContracts } from './vast-contracts.ts'

export interface VastControls extends MarketControls {
  /** Of an interruptible machine: somebody bids more. */
  outbid(id: string): void
  /** Where its ports are said to be, whatever is there. */
  publish(id: string, where: { host: string; port: string | number }): void
}

interface ControlOptions {
  contracts: VastContracts
  catalogue: readonly VastMachine[]
  lies: Lies
}

export function createVastControls({ contracts, catalogue, lies }: ControlOptions): VastControls {
  const known = (id: string): VastContract => {
    const contract = contracts.find(Number(id))
    if (!contract) throw new TypeError(`the sandbox's Vast.ai has no machine ${id}`)
    return contract
  }
  return {
    machines: () =>
      contracts.live().map((each) => ({
        id: String(each.id),
        offerId: String(each.machine.id),
        label: each.label,
        status: contracts.statusOf(each),
        ending: each.endsAt !== undefined,
      })),
    bill: () =>
      contracts.all().map((each) => {
        const { gpu, disk } = costOf(each)
        return { id: String(each.id), label: each.label, microUsd: gpu + disk, ended: !contracts.isLive(each) }
      }),
    host: (id, port) => {
      const { host, order } = known(id)
      return host?.server(port ?? order.ports[0]!)
    },
    loseHost: (id, status = 'offline') => contracts.lose(known(id), status),
    outbid: (id) => contracts.outbid(known(id)),
    publish(id, where) {
      known(id).published = where
    },
    raisePrice: (id, factor) => contracts.raisePrice(known(id), factor),
    raceOffer: (offerId, forMs = Number.POSITIVE_INFINITY) => contracts.takeAway(Number(offerId), forMs),
    duplicateLabel(id) {
      const { order, label } = known(id)
      const machine = catalogue.find((each) => contracts.isFree(each.id))
      if (!machine) throw new TypeError("the sandbox's Vast.ai has no free machine")
      return String(contracts.create(machine, { ...order, label }).id)
    },
    setDestroyDelay: contracts.setDestroyDelay,
    lie: lies.tell,
  }
}
