/**
 * A model served on rented machines for one account. What is wanted is a number of machines that answer; what is there
 * is a list of members, each one rental. A round compares the two. All of it is a pure function of what was looked at.
 */
import type { MicroUsd } from './money.ts'
import type { OfferFilter } from './offer.ts'
import type { Rental } from './rental.ts'
import type { Serving } from './serving.ts'

export interface NewDeployment {
  /** A UUID (version 7). */
  id: string
  accountId: string
  /** Of the key, or session, that it was asked for with: whose budget its machines count against. */
  keyId: string
  /** The account's id, or the key's where the key has a budget of its own. */
  purseId: string
  /** What its owner's requests ask for; one of its account alone has it. */
  name: string
  /** What is served, as it was asked for: the server's own name for it. */
  model: string
  serving: Serving
  /** Of machines. */
  filter: OfferFilter
  replicas: number
  /** Of one machine, an hour, all in. */
  maxPrice: MicroUsd
  /** Since it was begun; undefined = until it is ended. */
  maxHours: number | undefined
  /** Models of the routing table, tried after its own machines and the model itself there. */
  fallbacks: readonly string[]
  secrets: DeploymentSecrets
}

/** Shown to nobody. */
export interface DeploymentSecrets {
  /** Machines answer those alone who know it. */
  apiKey: string
  /** By which they load a model that is not for everyone. */
  huggingFaceToken?: string | undefined
}

export interface Deployment extends NewDeployment {
  /** Grows with every change: who changes it says which one he saw. */
  version: number
  createdAt: Date
  /** Its owner wants it gone. */
  endAskedAt: Date | undefined
  /** When it is to be looked at next. */
  dueAt: Date
  members: readonly Member[]
  /** What machines came to that are members no more. */
  spent: MicroUsd
  /** In a row: machines that did not come to answer, or not for long, or could not be had. */
  failures: number
  /** No machine is begun before that. */
  retryAt: Date | undefined
  /** The last failure; where `gaveUp`, why no more machines are begun. */
  reason: string | undefined
  gaveUp: boolean
  /** Machines that are being emptied: when some pod last had a request under way there, in ms since 1970. */
  busy: Readonly<Record<string, number>>
}

export interface Member {
  rentalId: string
  /** `draining`: gets no new requests, and is ended once those under way are over. */
  state: 'starting' | 'ready' | 'draining'
  /** Since when, in ms since 1970. */
  since: number
  /** Where it answers; undefined = it never has. */
  origin: string | undefined
  /** Questions in a row that it has not answered. */
  misses: number
}

export type DeploymentStatus = 'starting' | 'ready' | 'degraded' | 'failed' | 'ending'

const hourMs = 3_600_000
/** A machine that does not answer so long after it was begun is given up: large models load for a while. */
const startMs = 30 * 60_000
/** A machine in use is out of it after so many questions without an answer. */
const maxMisses = 3
/** Pods tell every two seconds where they still have requests; after so long a silence there are none. */
const quietMs = 8_000
/** The longest that a request under way may go on there. */
const drainMs = 10 * 60_000
/** One that is lost sooner may have died of what it serves: to replace that at once and for ever is dear. */
const provenMs = 10 * 60_000
const maxFailures = 6
const firstRetryMs = 5_000
const maxRetryMs = 5 * 60_000

/** Its machine has one, and was not asked to go. */
const comesOrRuns = new Set<Rental['state']>(['intended', 'creating', 'unknown', 'starting', 'running'])

export const readyCount = ({ members }: Pick<Deployment, 'members'>): number =>
  members.filter(({ state }) => state === 'ready').length

export function statusOf(deployment: Deployment): DeploymentStatus {
  const ready = readyCount(deployment)
  if (deployment.endAskedAt) return 'ending'
  if (ready >= deployment.replicas) return 'ready'
  if (deployment.gaveUp) return ready > 0 ? 'degraded' : 'failed'
  // One that has answered before, or has a machine that does.
  const hasServed = deployment.members.some(({ origin }) => origin !== undefined)
  return ready > 0 || hasServed ? 'degraded' : 'starting'
}

/** What was found of one of its rentals. `answers`: to the question that was put to it; undefined = none was. */
export interface Look {
  rental: Rental
  answers?: boolean | undefined
  /** Where it was asked. */
  origin?: string | undefined
}

export interface Review extends Pick<Deployment, 'members' | 'spent' | 'failures' | 'retryAt' | 'reason' | 'gaveUp'> {
  /** Rentals to be ended. */
  end: readonly string[]
  /** Machines to be begun. */
  missing: number
  /** Nothing is left, and nothing is wanted. */
  isGone: boolean
}

/** `looks`: of each member's rental, and of any other rental of the deployment's that is still there. */
export function review(deployment: Deployment, looks: readonly Look[], now: number): Review {
  const { createdAt, maxHours } = deployment
  const isOver = maxHours !== undefined && now >= createdAt.getTime() + maxHours * hourMs
  const wanted = deployment.endAskedAt || isOver ? 0 : deployment.replicas
  const byId = new Map(looks.map((look) => [look.rental.id, look]))
  const known = new Set(deployment.members.map(({ rentalId }) => rentalId))
  const strays = looks.filter(({ rental }) => !known.has(rental.id) && !isOverFor(rental))
  const failures: string[] = []
  let { spent } = deployment
  let members: Member[] = []
  for (const member of [...deployment.members, ...strays.map(({ rental }) => newMember(rental))]) {
    const look = byId.get(member.rentalId)
    // One that the books do not know, or that has ended, is a member no more.
    if (!look) continue
    if (isOverFor(look.rental)) {
      spent += look.rental.settled
      const { reason = 'not_created' } = look.rental
      if (!isProven(member, now) && reason !== 'group' && reason !== 'owner') failures.push(reason)
      continue
    }
    const seen = lookedAt(member, look, now)
    const { reason } = look.rental
    if (seen === 'late') failures.push('not_answering')
    // One that had answered for a while is replaced at once, whatever became of it.
    if (seen === 'lost' && !isProven(member, now) && reason !== 'owner') failures.push(reason ?? 'stopped')
    members.push(typeof seen === 'string' ? drained(member, now) : seen)
  }

  const living = members.filter(({ state }) => state !== 'draining')
  const surplus = new Set(leastUseful(living).slice(0, Math.max(0, living.length - wanted)))
  members = members.map((member) => (surplus.has(member) ? drained(member, now) : member))
  const end = members.filter((member) => isEmpty(member, deployment.busy, now)).map(({ rentalId }) => rentalId)
  const proven = members.filter((member) => member.state === 'ready' && isProven(member, now))
  const judged = judge(deployment, failures, wanted > 0 && proven.length >= wanted, now)
  const stopped = isOver ? { reason: 'max_hours', gaveUp: true } : {}
  const waits = judged.gaveUp || (judged.retryAt !== undefined && judged.retryAt.getTime() > now)
  return {
    members,
    spent,
    ...judged,
    ...stopped,
    end,
    missing: waits || isOver ? 0 : Math.max(0, wanted - living.length),
    isGone: deployment.endAskedAt !== undefined && members.length === 0,
  }
}

/** After so many in a row nothing is begun any more; when all have answered for a while, what was before is forgotten. */
export function judge(
  { failures, reason, retryAt, gaveUp }: Pick<Deployment, 'failures' | 'reason' | 'retryAt' | 'gaveUp'>,
  more: readonly string[],
  allAnswer: boolean,
  now: number,
): Pick<Deployment, 'failures' | 'reason' | 'retryAt' | 'gaveUp'> {
  if (allAnswer) return { failures: 0, reason: undefined, retryAt: undefined, gaveUp: false }
  if (more.length === 0) return { failures, reason, retryAt, gaveUp }
  const sum = failures + more.length
  const waitMs = Math.min(firstRetryMs * 2 ** (sum - 1), maxRetryMs)
  return { failures: sum, reason: more.at(-1), retryAt: new Date(now + waitMs), gaveUp: sum >= maxFailures }
}

export const newMember = ({ id, createdAt }: Rental): Member => ({
  rentalId: id,
  state: 'starting',
  since: createdAt.getTime(),
  origin: undefined,
  misses: 0,
})

const isOverFor = ({ state }: Rental) => state === 'gone' || state === 'failed'

/** `lost`: its machine is going, or was stopped. `late`: it has not come to answer in time. */
function lookedAt(member: Member, { rental, answers, origin }: Look, now: number): Member | 'lost' | 'late' {
  if (member.state === 'draining') return member
  if (!comesOrRuns.has(rental.state)) return 'lost'
  if (answers === true && origin !== undefined) {
    const isSame = member.state === 'ready' && member.origin === origin
    return isSame ? { ...member, misses: 0 } : { ...member, state: 'ready', origin, since: now, misses: 0 }
  }
  if (member.state === 'ready') {
    const misses = member.misses + 1
    return misses < maxMisses ? { ...member, misses } : { ...member, state: 'starting', since: now, misses }
  }
  return now - member.since > startMs ? 'late' : member
}

/** One that is being emptied has been judged. */
const isProven = ({ state, since }: Member, now: number) =>
  state === 'draining' || (state === 'ready' && now - since >= provenMs)

const drained = (member: Member, now: number): Member =>
  // One that never answered has no requests.
  ({ ...member, state: 'draining', since: member.state === 'ready' ? now : 0 })

/** Those that do not answer first, then the youngest. */
const leastUseful = (members: readonly Member[]) =>
  members.toSorted((a, b) => Number(a.state === 'ready') - Number(b.state === 'ready') || b.since - a.since)

function isEmpty({ state, since, rentalId }: Member, busy: Deployment['busy'], now: number): boolean {
  if (state !== 'draining') return false
  const isQuiet = now - Math.max(since, busy[rentalId] ?? 0) >= quietMs
  return isQuiet || now - since >= drainMs
}

/** When it is to be looked at again, in ms: soon while something is on its way. */
export function nextLookMs({ members, missing, gaveUp }: Review, replicas: number): number {
  const isComplete = gaveUp || (missing === 0 && members.length === replicas)
  return isComplete && members.every(({ state }) => state === 'ready') ? 15_000 : 2_000
}
