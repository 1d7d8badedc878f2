/** Deployments, wired: the desk, the rounds in the background, and where requests for them go. */
import type { Accounts, Clock, Deployments, HttpClient, Log, Rentals, Users } from '../ports.ts'
import { createDeploymentSteps } from './deployment-steps.ts'
import { createDeploymentDesk, type DeploymentDesk } from './deployments.ts'
import type { RentalDesk } from './rental-desk.ts'
import { createRentedTargets, type RentedTargets, type RentedTargetsOptions } from './rented-targets.ts'
import { createReplicaProbe } from './replica-probe.ts'

export interface DeployingOptions {
  clock: Clock
  random: () => number
  newId: () => string
  newSecret: () => string
  deployments: Deployments
  rentals: Rentals
  desk: RentalDesk
  accounts: Pick<Accounts, 'keyLimits'>
  users: Pick<Users, 'find'>
  /** Calls rented machines. */
  http: HttpClient
  createProvider: RentedTargetsOptions['createProvider']
  /** Live pods, this one included. */
  pods: () => number
  mode: { readOnly: boolean }
  log: Log
}

export interface Deploying {
  desk: DeploymentDesk
  targets: RentedTargets
  /** One round of what goes on in the background, for tests with a clock of their own. */
  step(): Promise<boolean>
  start(): void
  stop(options: { timeoutMs: number }): Promise<void>
}

export function createDeploying(options: DeployingOptions): Deploying {
  const targets = createRentedTargets(options)
  const steps = createDeploymentSteps({ ...options, probe: createReplicaProbe(options) })
  return {
    desk: createDeploymentDesk({ ...options, steps, onChange: targets.expire }),
    targets,
    step: steps.round,
    start() {
      steps.start()
      targets.start()
    },
    async stop(limit) {
      await Promise.all([steps.stop(limit), targets.stop(limit)])
    },
  }
}
