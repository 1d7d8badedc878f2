/** What tests do to the fake io.net. */
import { endOf, type IonetDeployment, type IonetDeployments, paidMicroUsd } from './ionet-deployments.ts'
import type { IonetStock } from './ionet-hardware.ts'
import type { Lies, MarketControls } from './market-controls.ts'

export interface IonetControls extends MarketControls {
  /** What its public URL is said to be, whatever is there. */
  publish(id: string, url: string): void
}

interface ControlOptions {
  deployments: IonetDeployments
  stock: IonetStock
  lies: Lies
  now: () => number
}

export function createIonetControls({ deployments, stock, lies, now }: ControlOptions): IonetControls {
  const known = (id: string): IonetDeployment => {
    const deployment = deployments.find(id)
    if (!deployment) throw new TypeError(`the sandbox's io.net has no deployment ${id}`)
    return deployment
  }
  return {
    machines: () =>
      deployments.live().map((each) => ({
        id: each.id,
        offerId: String(each.row.id),
        label: each.name,
        status: deployments.phaseOf(each),
        ending: each.terminatesAt !== undefined,
      })),
    bill: () =>
      deployments.all().map((each) => ({
        id: each.id,
        label: each.name,
        microUsd: paidMicroUsd(each),
        ended: endOf(each) <= now(),
      })),
    host: (id, port) => {
      const { hosts, order } = known(id)
      return hosts[0]?.server(port ?? order.container_config.traffic_port ?? 0)
    },
    loseHost: (id, status = 'failed') => deployments.fail(known(id), status),
    publish(id, url) {
      known(id).published = url
    },
    raisePrice(id, factor) {
      known(id).perHour *= factor
    },
    raceOffer: (offerId, forMs = Number.POSITIVE_INFINITY) => stock.takeAway(Number(offerId), forMs),
    duplicateLabel(id) {
      const { name, order, row } = known(id)
      return deployments.create(name, order, row, 1).id
    },
    setDestroyDelay: deployments.setDestroyDelay,
    lie: lies.tell,
  }
}
