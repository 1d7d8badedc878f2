/**
 * Where requests for an account's deployments go: what the database says of them, read every two seconds, each machine
 * behind guards of its own. On the way of a request it is a look-up in a map, and for other accounts nothing.
 */
import type { Deployment } from '../domain/deployment.ts'
import type { Clock, Deployments, Log } from '../ports.ts'
import type { ModelProvider } from '../providers/openai.ts'
import type { OwnRow } from '../routing/plan.ts'
import { noTimeouts, type Price, type TargetRow } from '../routing/table.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { atMost, type Background, startBackground } from './background.ts'
import type { OwnTargets } from './router.ts'

/** Who answers from a rented machine, in receipts, headers and metrics. */
export const rentedName = 'rented'

/** A machine as it is called: `id` is its rental's. */
export interface RentedMachine {
  id: string
  origin: string
  apiKey: string
}

export interface RentedTargetsOptions {
  clock: Clock
  random: () => number
  deployments: Pick<Deployments, 'all' | 'noteBusy'>
  /** A provider of the name `rented`, with an upstream of its own. */
  createProvider(machine: RentedMachine): ModelProvider
  mode: { readOnly: boolean }
  log: Log
}

export interface RentedTargets extends OwnTargets {
  /** What the account's own requests may ask for. */
  namesOf(accountId: string): Iterable<string>
  upstreams(): Iterable<Upstream>
  refresh(): Promise<void>
  /** Something is other than was read: the next look is not put off. */
  expire(): void
  start(): void
  stop(options: { timeoutMs: number }): Promise<void>
}

const everyMs = 2_000
/** While nobody has any. */
const quietMs = 10_000
/** What was read so long ago may lead to machines that are somebody else's by now. */
const trustedMs = 5 * 60_000

/** The machine is paid for by the hour. */
const free: Price = {
  inputPerMillion: 0,
  outputPerMillion: 0,
  cachedInputPerMillion: 0,
  perImage: undefined,
  perMinute: undefined,
  perMillionCharacters: undefined,
  perToolCall: 0,
}
/** As vLLM wants to be told to go on with an answer. */
const prefill = { continue_final_message: true, add_generation_prompt: false }

interface Known {
  origin: string
  provider: ModelProvider
}

export function createRentedTargets(options: RentedTargetsOptions): RentedTargets {
  const { clock, random, deployments, createProvider, mode, log } = options
  /** By the target's name. */
  let machines = new Map<string, Known>()
  let accounts = new Map<string, Map<string, OwnRow>>()
  let readAt = Number.NEGATIVE_INFINITY
  let isExpired = false
  const isTrusted = () => clock.now() - readAt < trustedMs

  function use(live: readonly Deployment[]) {
    const before = machines
    machines = new Map()
    for (const { members, secrets } of live) {
      for (const { rentalId, origin, state } of members) {
        // One that is being emptied, or does not answer for now, keeps its guards and its count of calls.
        if (origin === undefined || (state === 'starting' && !before.has(targetName(rentalId)))) continue
        const name = targetName(rentalId)
        const known = before.get(name)
        const isSame = known?.origin === origin
        const machine = { id: rentalId, origin, apiKey: secrets.apiKey }
        machines.set(name, isSame ? known : { origin, provider: createProvider(machine) })
      }
    }
    for (const [name, { provider }] of before) {
      if (machines.get(name)?.provider !== provider) provider.upstream.retire()
    }
    accounts = rowsByAccount(live)
  }

  /** Other pods cannot know that a machine which is to be ended still has requests of this one. */
  async function tellBusy(live: readonly Deployment[]) {
    if (mode.readOnly) return
    for (const deployment of live) {
      const busy = deployment.members.flatMap(({ rentalId, state }) => {
        const inUse = machines.get(targetName(rentalId))?.provider.upstream.bulkhead.inUse ?? 0
        return state === 'draining' && inUse > 0 ? [rentalId] : []
      })
      if (busy.length > 0) await deployments.noteBusy(deployment, busy, new Date(clock.wallNow()))
    }
  }

  async function refresh() {
    const began = clock.now()
    isExpired = false
    const live = await deployments.all()
    readAt = began
    use(live)
    await tellBusy(live)
  }

  let background: Background | undefined
  return {
    rowsOf: (accountId) => (accounts.size > 0 && isTrusted() ? accounts.get(accountId) : undefined),
    provider: (name) => machines.get(name)?.provider,
    namesOf: (accountId) => (isTrusted() ? (accounts.get(accountId)?.keys() ?? []) : []),
    *upstreams() {
      for (const { provider } of machines.values()) yield provider.upstream
    },
    refresh,
    expire() {
      isExpired = true
    },
    start() {
      background ??= startBackground({
        clock,
        random,
        everyMs,
        async round() {
          const isInUse = accounts.size > 0 || machines.size > 0
          if (isInUse || isExpired || clock.now() - readAt >= quietMs) await refresh()
          return false
        },
        // What is known goes on being used, for a while.
        onError: (error) => log.warn('deployments could not be read', { error: String(error) }),
      })
    },
    async stop({ timeoutMs }) {
      await atMost(clock, timeoutMs, background?.stop() ?? Promise.resolve())
      for (const { provider } of machines.values()) provider.upstream.retire()
    },
  }
}

const targetName = (rentalId: string) => `${rentedName}/${rentalId}`

/** A deployment is asked for by its name, or by its model where no other one is called so. */
function rowsByAccount(live: readonly Deployment[]): Map<string, Map<string, OwnRow>> {
  const accounts = new Map<string, Map<string, OwnRow>>()
  const serving = live.filter(({ endAskedAt }) => !endAskedAt)
  const names = new Set(serving.map(({ accountId, name }) => `${accountId} ${name}`))
  for (const deployment of serving) {
    const { accountId, name, model } = deployment
    const rows = accounts.get(accountId) ?? new Map<string, OwnRow>()
    accounts.set(accountId, rows)
    rows.set(name, rowOf(name, deployment))
    if (names.has(`${accountId} ${model}`)) continue
    const others = rows.get(model)
    const own = rowOf(model, deployment)
    const targets = [...(others?.row.targets ?? []), ...own.row.targets]
    rows.set(model, { row: { ...own.row, targets }, next: others?.next ?? own.next })
  }
  return accounts
}

function rowOf(name: string, { members, model, serving, fallbacks }: Deployment): OwnRow {
  const ready = members.filter(({ state }) => state === 'ready')
  const targets = ready.map(
    ({ rentalId }): TargetRow => ({
      ...shared,
      provider: targetName(rentalId),
      model,
      contextWindow: serving.contextWindow,
    }),
  )
  return { row: { name, strategy: 'least_busy', targets }, next: [model, ...fallbacks] }
}

const shared: Omit<TargetRow, 'provider' | 'model' | 'contextWindow'> = {
  priority: 0,
  weight: 1,
  when: {},
  price: free,
  capabilities: undefined,
  prefill,
  timeouts: noTimeouts,
}
