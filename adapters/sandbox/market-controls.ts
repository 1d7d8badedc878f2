/** What a fake GPU market lets its tests know and do. Machines are named by the market's own ids. */
import type { Clock } from '../../src/ports.ts'
import type { Hosts } from './hosts.ts'
import type { SandboxServer } from './server.ts'

export interface MarketOptions {
  clock: Clock
  /** The only credential it takes; undefined = any, and none. */
  key?: string | undefined
  /** What the machines' ports lead to. @default addresses that nothing listens on */
  hosts?: Hosts | undefined
  /** How long a machine is on its way before it loads its image... @default 1_000 */
  provisioningMs?: number | undefined
  /** ...and loads before it runs. @default 1_500 */
  loadingMs?: number | undefined
  /** How long a machine is still there after it was destroyed. */
  destroyDelayMs?: number | undefined
  /** Refuses calls that follow one another too closely, as the market does. @default true */
  paced?: boolean | undefined
}

export interface MarketControls {
  /** Those that it has, by its own word and whatever lies are told. */
  machines(): RentedMachine[]
  /** What it charges for each machine that it ever had: so far, or in all. */
  bill(): MachineBill[]
  /** What listens on a port of a machine that runs (@default its first): faults can be set on it, and its calls counted. */
  host(id: string, port?: number): SandboxServer | undefined
  /** The machine will not run again, and its ports refuse connections. It is listed and paid for until it is destroyed. */
  loseHost(id: string, status?: string): void
  /** From now on it costs this many times as much. */
  raisePrice(id: string, factor: number): void
  /** Somebody else has the offer. @default for ever */
  raceOffer(offerId: string, forMs?: number): void
  /** Another machine with the same label appears; answers its id. */
  duplicateLabel(id: string): string
  /** Of what is destroyed from now on; `Infinity` = the market says that it will, and does not. */
  setDestroyDelay(ms: number): void
  /** Replaces the lies that are told. */
  lie(...lies: Lie[]): void
}

/** What the market says, not what it does. */
export type Lie =
  /** Lists leave the machine out. */
  | { kind: 'omits'; id: string }
  /** Lists show a machine that was destroyed, as running. */
  | { kind: 'shows_destroyed'; id: string }
  | { kind: 'status'; id: string; status: string | null }
  /** Vast.ai's charges leave the machine out, as before they are drawn up. */
  | { kind: 'no_charges'; id: string }
  /** What is rented by the offer costs this many times what it is offered for. */
  | { kind: 'costs_more'; id: string; factor: number }

export interface RentedMachine {
  id: string
  offerId: string
  label: string
  /** As the market words it. */
  status: string | null
  /** It was destroyed, and is still there. */
  ending: boolean
}

export interface MachineBill {
  id: string
  label: string
  microUsd: number
  ended: boolean
}

/** A market's own clock, in ms since 1970: nobody who sets this machine's date moves it. */
export function createMarketTime(clock: Clock): () => number {
  const epoch = clock.wallNow() - clock.now()
  return () => epoch + clock.now()
}

export type Lies = ReturnType<typeof createLies>

export function createLies() {
  let told: readonly Lie[] = []
  const about = <K extends Lie['kind']>(kind: K, id: string) =>
    told.find((lie) => lie.kind === kind && lie.id === id) as Extract<Lie, { kind: K }> | undefined
  return {
    tell(...lies: Lie[]) {
      told = lies
    },
    omits: (id: string) => about('omits', id) !== undefined,
    omitsCharges: (id: string) => about('no_charges', id) !== undefined,
    /** Those that lists show though they were destroyed. */
    ghosts: () => told.flatMap((lie) => (lie.kind === 'shows_destroyed' ? [lie.id] : [])),
    status: <S extends string | null>(id: string, truth: S) => (about('status', id) ?? { status: truth }).status,
    factor: (offerId: string) => about('costs_more', offerId)?.factor ?? 1,
  }
}
