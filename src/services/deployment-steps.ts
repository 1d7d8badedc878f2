/**
 * Holds each deployment to what is wanted of it. Any pod does a round for one: looks at its rentals, asks the machines
 * that run whether they answer, begins what is missing, ends what is too many, and writes down how it found it. What a
 * pod has begun and not written down the next round finds by the deployment's id.
 */
import { type Deployment, judge, type Look, newMember, nextLookMs, type Review, review } from '../domain/deployment.ts'
import type { Rental } from '../domain/rental.ts'
import { servingPort } from '../domain/serving.ts'
import { ApiError } from '../errors.ts'
import type { Accounts, Clock, Deployments, Log, Rentals, Users } from '../ports.ts'
import { atMost, type Background, sharedEvery, startBackground } from './background.ts'
import type { Payer, RentalDesk } from './rental-desk.ts'
import { createTermsOf } from './rental-money.ts'
import type { ReplicaProbe } from './replica-probe.ts'

export interface DeploymentStepsOptions {
  clock: Clock
  random: () => number
  deployments: Deployments
  rentals: Pick<Rentals, 'byIds' | 'list' | 'change'>
  desk: Pick<RentalDesk, 'begin' | 'end'>
  accounts: Pick<Accounts, 'keyLimits'>
  users: Pick<Users, 'find'>
  probe: ReplicaProbe
  /** Live pods, this one included. */
  pods: () => number
  mode: { readOnly: boolean }
  log: Log
}

export interface DeploymentSteps {
  /** Machines of a deployment, the credit for all of them or none. `firstId`: of the first one's rental. @throws ApiError */
  begin(payer: Payer, deployment: Deployment, count: number, firstId?: string): Promise<Rental[]>
  /** Does what is due, at most a few; true where there may be more. */
  round(): Promise<boolean>
  start(): void
  stop(options: { timeoutMs: number }): Promise<void>
}

const everyMs = 1_000
const maxAtOnce = 16
/** Longer than a step may take, so that no two pods are at the same one. */
const stepMs = 120_000
const againMs = 10_000
/** Those that have failed stay in the list until they are acknowledged. */
const maxRentals = 100

export function createDeploymentSteps(options: DeploymentStepsOptions): DeploymentSteps {
  const { clock, random, deployments, rentals, desk, accounts, users, probe, pods, mode, log } = options
  const termsOf = createTermsOf(accounts)
  const stopping = new AbortController()

  async function begin(payer: Payer, deployment: Deployment, count: number, id?: string): Promise<Rental[]> {
    const { id: deploymentId, filter } = deployment
    const order = { id, spec: specOf(deployment), deploymentId }
    try {
      return await desk.begin(payer, { ...order, search: { filter, spread: count > 1 } }, count)
    } catch (error) {
      // Rather two on one host than none.
      const isShort = error instanceof ApiError && error.code === 'not_enough_offers'
      if (!isShort || count === 1) throw error
      return desk.begin(payer, { ...order, search: { filter, spread: false } }, count)
    }
  }

  async function payerOf(deployment: Deployment): Promise<Payer> {
    const { keyId } = deployment
    return { ...(await termsOf(deployment)), keyId }
  }

  async function look({ id, accountId, members, model, secrets }: Deployment): Promise<Look[]> {
    const ids = members.map(({ rentalId }) => rentalId)
    const known = ids.length > 0 ? await rentals.byIds(ids) : []
    const listed = await rentals.list(accountId, { deploymentId: id, limit: maxRentals })
    const all = new Map([...listed, ...known].map((rental) => [rental.id, rental]))
    const draining = new Set(members.flatMap(({ state, rentalId }) => (state === 'draining' ? [rentalId] : [])))
    return Promise.all(
      [...all.values()].map(async (rental): Promise<Look> => {
        const origin = originOf(rental)
        if (rental.state !== 'running' || origin === undefined || draining.has(rental.id)) return { rental }
        return { rental, origin, answers: await probe(origin, model, secrets.apiKey, stopping.signal) }
      }),
    )
  }

  /** Those that could be begun, and how that went. */
  async function beginMissing(deployment: Deployment, found: Review): Promise<Review> {
    if (found.missing === 0) return found
    try {
      const begun = await begin(await payerOf(deployment), deployment, found.missing)
      return { ...found, members: [...found.members, ...begun.map(newMember)] }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      return { ...found, ...judge(found, [error.code], false, clock.wallNow()) }
    }
  }

  async function step(seen: Deployment) {
    // Nobody is left to want it.
    const isClosed = !(await users.find(seen.accountId))
    const now = clock.wallNow()
    const deployment = isClosed ? { ...seen, endAskedAt: seen.endAskedAt ?? new Date(now) } : seen
    const looks = await look(deployment)
    const found = review(deployment, looks, clock.wallNow())
    for (const { rental } of looks) if (found.end.includes(rental.id)) await desk.end(rental, 'group')
    // Machines take their time to answer: where it was scaled meanwhile this comes too late, and another pod begins what is missing.
    const own = found.missing > 0 ? await deployments.change(seen, {}) : seen
    if (!own) return
    const after = await beginMissing(deployment, found)
    const { members, spent, failures, retryAt, reason, gaveUp } = after
    if (after.isGone) return void (await deployments.remove(seen))
    const saved = await deployments.change(own, {
      standing: { members, spent, failures, retryAt, reason, gaveUp },
      endAskedAt: deployment.endAskedAt,
      dueAt: new Date(clock.wallNow() + nextLookMs(after, deployment.replicas)),
      noneBusy: members.every(({ state }) => state !== 'draining'),
    })
    if (!saved) return
    if (gaveUp && !seen.gaveUp) {
      log.warn('a deployment was given up', { account_id: seen.accountId, detail: `${seen.id}: ${reason}` })
    }
    // What they came to is in the deployment's sum: its owner need not clear them away.
    for (const { rental } of looks) if (rental.state === 'failed') await rentals.change(rental, { state: 'gone' })
  }

  async function guarded(deployment: Deployment) {
    try {
      await step(deployment)
    } catch (error) {
      if (stopping.signal.aborted) return
      log.warn('a deployment could not be gone on with', {
        account_id: deployment.accountId,
        detail: deployment.id,
        error: String(error),
      })
      // Where this fails too, it is due again by itself.
      await deployments.change(deployment, { dueAt: new Date(clock.wallNow() + againMs) }).catch(() => {})
    }
  }

  async function round(): Promise<boolean> {
    if (mode.readOnly) return false
    const due = await deployments.takeDue({ now: new Date(clock.wallNow()), max: maxAtOnce, forMs: stepMs })
    await Promise.all(due.map(guarded))
    return due.length === maxAtOnce
  }

  let background: Background | undefined
  return {
    begin,
    round,
    start() {
      const onError = (error: unknown) => log.warn('deployments could not be gone on with', { error: String(error) })
      background ??= startBackground({ clock, random, everyMs: sharedEvery(everyMs, pods), round, onError })
    },
    async stop({ timeoutMs }) {
      const ended = background?.stop() ?? Promise.resolve()
      await atMost(clock, timeoutMs, ended)
      stopping.abort()
    },
  }
}

const specOf = ({ serving, secrets, name, maxPrice, maxHours }: Deployment) => ({
  image: serving.image,
  diskGb: serving.diskGb,
  env: {
    VLLM_API_KEY: secrets.apiKey,
    ...(secrets.huggingFaceToken !== undefined && { HF_TOKEN: secrets.huggingFaceToken }),
  },
  ports: [servingPort],
  args: serving.args,
  onstart: undefined,
  label: name,
  maxPrice,
  maxHours,
  bid: undefined,
  // The deployment does that itself.
  replace: false,
})

/** Some markets publish one port and do not say which. */
const originOf = ({ endpoints }: Rental) =>
  (endpoints.find(({ port }) => port === servingPort) ?? endpoints.find(({ port }) => port === undefined))?.origin
