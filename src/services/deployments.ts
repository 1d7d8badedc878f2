/** An account's own deployments: begun, looked at, scaled and ended. Those of others are not there. */
import { type Deployment, type NewDeployment, newMember } from '../domain/deployment.ts'
import type { MicroUsd } from '../domain/money.ts'
import type { OfferFilter } from '../domain/offer.ts'
import type { Rental } from '../domain/rental.ts'
import { servingOf } from '../domain/serving.ts'
import { ApiError } from '../errors.ts'
import type { Clock, DeploymentChange, Deployments, Rentals } from '../ports.ts'
import type { DeploymentSteps } from './deployment-steps.ts'
import type { Payer } from './rental-desk.ts'

export interface DeploymentOrder {
  /**
   * The id of the request, which becomes that of its first machine's rental: by it an Idempotency-Key finds out what came
   * of an execution whose end nobody told. @default a new one
   */
  id?: string | undefined
  model: string
  /** @default the model's */
  name?: string | undefined
  filter: OfferFilter
  replicas: number
  /** Of one machine, an hour. */
  maxPrice: MicroUsd
  maxHours?: number | undefined
  fallbacks: readonly string[]
  huggingFaceToken?: string | undefined
}

export interface ShownDeployment {
  deployment: Deployment
  /** Of its members. */
  rentals: Rental[]
}

export interface DeploymentDesk {
  /** @throws ApiError where it cannot be served, rented or paid; nothing is rented then */
  create(payer: Payer, order: DeploymentOrder): Promise<ShownDeployment>
  /** @throws ApiError `deployment_not_found` */
  find(accountId: string, id: string): Promise<ShownDeployment>
  list(accountId: string, page: { limit: number; before?: string | undefined }): Promise<ShownDeployment[]>
  /** Also has one that gave up try again. */
  scale(accountId: string, id: string, replicas: number): Promise<ShownDeployment>
  end(accountId: string, id: string): Promise<ShownDeployment>
}

export interface DeploymentDeskOptions {
  clock: Clock
  newId: () => string
  /** A secret that nobody can guess. */
  newSecret: () => string
  deployments: Deployments
  rentals: Pick<Rentals, 'byIds'>
  steps: Pick<DeploymentSteps, 'begin'>
  /** Something is other than it was: this pod need not wait until it reads it. */
  onChange: () => void
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** How long whoever creates one has for it. */
const createMs = 120_000
const maxTries = 5
const hopeful = { failures: 0, retryAt: undefined, reason: undefined, gaveUp: false }

export function createDeploymentDesk(options: DeploymentDeskOptions): DeploymentDesk {
  const { clock, newId, newSecret, deployments, rentals, steps, onChange } = options
  const now = () => new Date(clock.wallNow())

  function newDeployment(payer: Payer, order: DeploymentOrder): NewDeployment {
    const { model, name = model, filter, replicas, maxPrice, maxHours, fallbacks, huggingFaceToken } = order
    const serving = servingOf(model, filter)
    if (typeof serving === 'string') {
      throw new ApiError('invalid_body', { message: `model: ${serving}.`, param: 'model' })
    }
    const { accountId, keyId, purseId } = payer
    const { gpuCount, minVramGb } = serving
    const diskGb = Math.max(serving.diskGb, filter.diskGb ?? 0)
    const secrets = { apiKey: newSecret(), huggingFaceToken }
    return {
      ...{ id: newId(), accountId, keyId, purseId, name, model, serving: { ...serving, diskGb }, secrets },
      filter: { ...filter, gpuCount, minVramGb, diskGb, maxPriceMicroUsd: maxPrice },
      ...{ replicas, maxPrice, maxHours, fallbacks },
    }
  }

  async function find(accountId: string, id: string): Promise<Deployment> {
    const found = uuid.test(id) ? await deployments.find(accountId, id) : undefined
    if (!found) throw new ApiError('deployment_not_found')
    return found
  }

  async function shown(deployment: Deployment): Promise<ShownDeployment> {
    const [only] = await allShown([deployment])
    return only!
  }

  async function allShown(found: readonly Deployment[]): Promise<ShownDeployment[]> {
    const ids = found.flatMap(({ members }) => members.map(({ rentalId }) => rentalId))
    const all = ids.length > 0 ? await rentals.byIds(ids) : []
    return found.map((deployment) => {
      const own = new Set(deployment.members.map(({ rentalId }) => rentalId))
      return { deployment, rentals: all.filter(({ id }) => own.has(id)) }
    })
  }

  /** The background changes it too, so it is tried again on what that left. */
  async function change(accountId: string, id: string, to: (seen: Deployment) => DeploymentChange | undefined) {
    for (let n = 0; n < maxTries; n++) {
      const seen = await find(accountId, id)
      const wanted = to(seen)
      const changed = wanted ? await deployments.change(seen, { ...wanted, dueAt: now() }) : seen
      if (!changed) continue
      onChange()
      return shown(changed)
    }
    throw new ApiError('overloaded', { retryAfterMs: 1_000 })
  }

  return {
    async create(payer, order) {
      const made = await deployments.create(newDeployment(payer, order), now(), new Date(clock.wallNow() + createMs))
      if (made === 'name_taken') throw new ApiError('deployment_name_taken', { param: 'name' })
      if (made === 'too_many') throw new ApiError('too_many_deployments')
      if (made === 'full') {
        const message =
          'This gateway has as many deployments as it can lead requests to. Nothing was rented. Delete one that you do not need, or ask the operator.'
        throw new ApiError('too_many_deployments', { message })
      }
      let begun: Rental[]
      try {
        begun = await steps.begin(payer, made, made.replicas, order.id)
      } catch (error) {
        // Nothing was rented. Any other error leaves that open, and the background goes on with it.
        if (error instanceof ApiError) await deployments.remove(made)
        throw error
      }
      const { spent } = made
      const standing = { ...hopeful, spent, members: begun.map(newMember) }
      const stands = await deployments.change(made, { standing, dueAt: now() })
      onChange()
      return { deployment: stands ?? (await find(made.accountId, made.id)), rentals: begun }
    },
    find: async (accountId, id) => shown(await find(accountId, id)),
    list: async (accountId, page) => allShown(await deployments.list(accountId, page)),
    scale: (accountId, id, replicas) =>
      change(accountId, id, ({ endAskedAt, members, spent }) => {
        if (endAskedAt) throw new ApiError('deployment_ending')
        return { replicas, standing: { members, spent, ...hopeful } }
      }),
    end: (accountId, id) => change(accountId, id, ({ endAskedAt }) => (endAskedAt ? undefined : { endAskedAt: now() })),
  }
}
