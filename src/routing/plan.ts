/**
 * Which targets are tried for a request, in which order, and why. One pure function: the live path asks it with the
 * state of the moment, `explain` with an assumed one.
 */
import { usd } from '../domain/money.ts'
import { type Capability, type ModelRow, type RoutingTable, rowFor, type TargetRow } from './table.ts'

export interface RouteQuestion {
  /** As asked for, then the caller's fallbacks, in order. */
  models: readonly string[]
  metadata: Readonly<Record<string, unknown>>
  needs: readonly Capability[]
}

/** What the order depends on besides the table. */
export interface RouteState {
  /** Uniform in [0, 1). */
  random: () => number
  /** Calls under way at a provider. */
  inFlight(provider: string): number
  /** Recent time to the first token; undefined = not measured lately. */
  firstTokenMs(provider: string, model: string): number | undefined
  /** Time until a call may be tried where the circuit is open; 0 = now. */
  openForMs(provider: string, model: string): number
  /** For how long nobody has been answered there, where that is unusual; else 0. */
  silentForMs(provider: string, model: string): number
  /** False while a provider refuses all that the gateway has. @default true */
  hasCredential?: (provider: string) => boolean
  /** Most of an account's own that are tried before what is bought. @default 8 */
  maxOwnTargets?: number
}

export interface PlannedTarget {
  provider: string
  /** The model's name at the provider. */
  model: string
  /** The name in the table (or the caller's own, under `*`). */
  askedAs: string
  /** False: known beforehand not to help; it is skipped. */
  use: boolean
  /** For people: why it stands where it stands, or why it is skipped. */
  reason: string
  row: TargetRow
}

/** Longest plan. */
const maxTargets = 16
/** Of an account's own. */
const maxOwnTargets = 8

/** What one account has of its own beside the table, by the name that it asks for. */
export type OwnRows = ReadonlyMap<string, OwnRow>

export interface OwnRow {
  row: ModelRow
  /** Names that are looked up in the table after it. */
  next: readonly string[]
}

/** The rows of a name, each under the name that it goes by: the account's own first, then the table's. */
export function rowsFor(table: RoutingTable, own: OwnRows | undefined, asked: string): [name: string, row: ModelRow][] {
  const mine = own?.get(asked)
  const bought = (mine?.next ?? [asked]).flatMap((name): [string, ModelRow][] => {
    const row = rowFor(table, name)
    return row ? [[name, row]] : []
  })
  return mine ? [[asked, mine.row], ...bought] : bought
}

/** Empty where nobody serves any of the models. `own`: of the account that asks. */
export function planRoute(
  table: RoutingTable,
  question: RouteQuestion,
  state: RouteState,
  own?: OwnRows,
): PlannedTarget[] {
  // One provider's one model stands in the plan once: where it first fits, else where it was first named.
  const found = new Map<string, PlannedTarget & { fits: boolean }>()
  const rows = question.models.flatMap((name) => rowsFor(table, own, name))
  const isOwnRow = ([askedAs, row]: [name: string, row: ModelRow]) => own?.get(askedAs)?.row === row
  // They may all be dead at once: a try is left for what is bought.
  const maxOwn = rows.every(isOwnRow) ? maxOwnTargets : Math.min(state.maxOwnTargets ?? maxOwnTargets, maxOwnTargets)
  for (const [askedAs, row] of rows) {
    const isOwn = isOwnRow([askedAs, row])
    const targets = ordered(row, askedAs, state)
    for (const { target, why } of isOwn ? targets.slice(0, maxOwn) : targets) {
      const model = target.model ?? askedAs
      const key = `${target.provider}\n${model}`
      const earlier = found.get(key)
      const unfit = whyUnfit(target, question)
      if (earlier && (earlier.fits || unfit)) continue
      const skipped = unfit ?? whyClosed(target.provider, model, state)
      found.delete(key)
      found.set(key, {
        provider: target.provider,
        model,
        askedAs,
        use: skipped === undefined,
        reason: `${why}${skipped === undefined ? '' : `; skipped: ${skipped}`}.`,
        row: target,
        fits: unfit === undefined,
      })
    }
  }
  return silentLast(
    shortened([...found.values()]).map(({ fits: _, ...planned }) => planned),
    state,
  )
}

/** Whoever does not answer at the moment is still tried, after all others. */
function silentLast(planned: PlannedTarget[], state: RouteState): PlannedTarget[] {
  if (planned.length < 2) return planned
  const silent: PlannedTarget[] = []
  const others = planned.filter((target) => {
    const ms = target.use ? state.silentForMs(target.provider, target.model) : 0
    if (ms === 0) return true
    const why = `last, since nobody has been answered there for ${(ms / 1_000).toFixed(1)} s`
    silent.push({ ...target, reason: `${target.reason.slice(0, -1)}; ${why}.` })
    return false
  })
  return [...others, ...silent]
}

/** What can be used is kept before what is only there to explain. */
function shortened<T extends { use: boolean }>(planned: T[]): T[] {
  if (planned.length <= maxTargets) return planned
  const kept = new Set([...planned.filter(({ use }) => use), ...planned.filter(({ use }) => !use)].slice(0, maxTargets))
  return planned.filter((one) => kept.has(one))
}

interface Ranked {
  target: TargetRow
  /** Lower is earlier; the file's order decides between equals. */
  rank: number
  /** Decides between equal ranks before the file's order does. */
  draw: number
  why: string
}

function ordered(row: ModelRow, asked: string, state: RouteState): Ranked[] {
  const ranked = row.targets.map((target) => rankOf(target, row, asked, state))
  return ranked.sort((a, b) => a.rank - b.rank || a.draw - b.draw)
}

function rankOf(target: TargetRow, { name, strategy, targets }: ModelRow, asked: string, state: RouteState): Ranked {
  const of = name === '*' ? `any model, asked for ${asked}` : name
  switch (strategy) {
    case 'priority': {
      const equals = targets.filter(({ priority }) => priority === target.priority)
      const drawn = equals.length > 1 ? `, drawn by ${share(target, equals)}` : ''
      const why = `priority ${target.priority} for ${of}${drawn}`
      return { target, rank: target.priority, draw: drawn ? draw(target, state) : 0, why }
    }
    case 'weighted':
      return { target, rank: 0, draw: draw(target, state), why: `drawn for ${of} by ${share(target, targets)}` }
    case 'least_busy': {
      const calls = state.inFlight(target.provider)
      const why = `least busy first for ${of}: ${calls} calls under way, weight ${target.weight}`
      return { target, rank: calls / target.weight, draw: 0, why }
    }
    case 'latency': {
      const ms = state.firstTokenMs(target.provider, target.model ?? asked)
      const measured =
        ms === undefined ? 'not measured lately, so it goes first' : `first token in ${Math.round(ms)} ms`
      return { target, rank: ms ?? -1, draw: 0, why: `fastest first for ${of}: ${measured}` }
    }
    case 'cost': {
      const blended = (3 * target.price.inputPerMillion + target.price.outputPerMillion) / 4
      const why = `cheapest first for ${of}: $${usd(blended).toFixed(4)} per million tokens, three in to one out`
      return { target, rank: blended, draw: 0, why }
    }
  }
}

/**
 * Exponentially distributed with the weight as its rate: in the order of such draws each next target is drawn by weight
 * from those that are left.
 */
const draw = ({ weight }: TargetRow, { random }: RouteState) => -Math.log(1 - random()) / weight

const share = (target: TargetRow, among: readonly TargetRow[]) =>
  `weight ${target.weight} of ${among.reduce((sum, { weight }) => sum + weight, 0)}`

/** What the target is not for, or cannot do. */
function whyUnfit({ when, capabilities }: TargetRow, { metadata, needs }: RouteQuestion): string | undefined {
  for (const [field, values] of Object.entries(when)) {
    const value = Object.hasOwn(metadata, field) ? metadata[field] : undefined
    if (!values.some((allowed) => allowed === value)) return `only where metadata.${field} is ${values.join(' or ')}`
  }
  const lacking = capabilities && needs.filter((need) => !capabilities.includes(need))
  return lacking?.length ? `it cannot do ${lacking.join(', ')}` : undefined
}

function whyClosed(provider: string, model: string, state: RouteState): string | undefined {
  if (state.hasCredential?.(provider) === false) return "it refuses the gateway's credential"
  const openForMs = state.openForMs(provider, model)
  if (!(openForMs > 0)) return undefined
  const trial = Number.isFinite(openForMs) ? `, next trial in ${Math.ceil(openForMs / 1_000)} s` : ''
  return `circuit open${trial}`
}
