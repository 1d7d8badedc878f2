/**
 * Everything the world must supply to the portable core, on one page. `adapters/*` implement these for a runtime;
 * `gateway.ts` receives them. Nothing in `src/` reaches a clock, a die, a socket, a file or an environment by itself.
 */

import type { Charge, ChargeEnd } from './domain/charge.ts'
import type { MicroUsd } from './domain/money.ts'
import type { NewPayment, Payment, PaymentState } from './domain/payment.ts'
import type { LimitSettings, Principal, Scope } from './domain/principal.ts'
import type { UsageEvent } from './domain/usage.ts'
import type { Load } from './resilience/brownout.ts'
import type { Clock } from './resilience/clock.ts'
import type { FleetBoard } from './resilience/fleet-board.ts'
import type { LimitStore } from './resilience/leased-limits.ts'
import type { Counter, Gauge, Histogram, Labels } from './telemetry/instruments.ts'
import type { LogFields } from './telemetry/log-fields.ts'

export type { Clock, FleetBoard, LimitStore, Load }

export interface Ports {
  clock: Clock
  /** Uniform in [0, 1). */
  random: () => number
  /** A new unique id that sorts by time (UUID version 7). */
  newId: () => string
  /** A fast one-way digest, salted per process: cache keys hold this, never the secret itself. */
  digest: (text: string) => string
  http: HttpClient
  reply: Reply
  readBody: ReadBody
  accounts: Accounts
  /** Counts that all pods share; absent: this pod counts by itself. */
  limitStore?: LimitStore | undefined
  /** Absent where there is none: each pod then caches for itself. */
  sharedCache?: SharedCache | undefined
  writeMode: WriteMode
  journal: Journal
  usageStore: UsageStore
  billingOutbox: BillingOutbox
  paymentStore: PaymentStore
  credits: Credits
  /** What `/health` asks: each resolves when the dependency answers and rejects when it does not. */
  dependencies: Record<'database' | 'redis', HealthProbe | 'in_process'>
  metrics: Metrics
  log: Log
  /** Absent where the runtime cannot tell: then nothing is shed for its sake. */
  load?: LoadProbe
  /** What the pods of a fleet tell each other. Absent where this pod is alone. */
  fleet?: FleetBoard
}

/** How busy the process was since the last call. */
export type LoadProbe = () => Load

/** An outgoing call as a plain record. */
export interface HttpCall {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Scheme, host and port, as in `https://api.example.com`. */
  origin: string
  /** Path and query, beginning with `/`. */
  path: string
  headers: Record<string, string>
  body?: string | Uint8Array
  /** Made for this call alone. Aborting it ends the call at once, whatever its phase, and closes its socket. */
  signal: AbortSignal
  /** Longest wait for the response's headers once the request is sent, in ms; 0 = none. */
  headersTimeoutMs: number
  /** Longest silence within the body, in ms; 0 = none. */
  idleTimeoutMs: number
  /** Most bytes of body accepted, counted after decoding. */
  maxBytes: number
}

export interface HttpReply<Body> {
  status: number
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>
  body: Body
}

/** Redirects are never followed. Failures are `HttpFailure`; an abort rejects with the signal's reason. */
export interface HttpClient {
  /** Resolves when the whole body is in. */
  bytes(call: HttpCall): Promise<HttpReply<Uint8Array>>
  /** Resolves at the headers. Leaving the iteration early closes the call. */
  stream(call: HttpCall): Promise<HttpReply<AsyncIterable<Uint8Array>>>
}

export type HttpFailureKind =
  /** Refused, unresolved, unreachable, no TLS: the request was certainly not sent. */
  | 'not_sent'
  /** No connection in time: not sent either. */
  | 'connect_timeout'
  /** The connection died after the request may have left and before any header came back. */
  | 'reset'
  | 'headers_timeout'
  /** The body ended before its declared or framed end. */
  | 'cut'
  | 'idle_timeout'
  | 'too_large'
  /** Bytes that are not HTTP, or a body that its own headers contradict. */
  | 'malformed'

export class HttpFailure extends Error {
  override name = 'HttpFailure'
  readonly kind: HttpFailureKind
  constructor(kind: HttpFailureKind, options?: { cause?: unknown }) {
    super(`http: ${kind}`, options)
    this.kind = kind
  }
}

export type ReplyBody = string | Uint8Array | AsyncIterable<string | Uint8Array> | null

/**
 * The only way `src/` makes a response. Each runtime returns its cheapest body: an iterable is pulled one chunk at a
 * time as the client reads, and closed (`return()`) when the client leaves. It is always begun, also where the client
 * has left already: a generator that was never begun would never reach its `finally`.
 */
export type Reply = (status: number, headers: Record<string, string>, body: ReplyBody) => Response

/** Reads a whole request body; throws ApiError `body_too_large` past `maxBytes`, without keeping what came before. */
export type ReadBody = (request: Request, bindings: unknown, maxBytes: number) => Promise<Uint8Array>

export interface Accounts {
  /** The principal that an API key stands for; undefined when it is unknown, expired or revoked. */
  findByApiKey(apiKey: string): Promise<Principal | undefined>
  createAccount(account: {
    name: string
    role?: Principal['role']
    limits?: LimitSettings
  }): Promise<{ accountId: string }>
  /** The key itself is in this answer and nowhere else. */
  createApiKey(accountId: string, key: NewApiKey): Promise<ApiKey & { apiKey: string }>
  /** Those that were not revoked, the newest first. What was changed through this port is seen at once. */
  listApiKeys(accountId: string): Promise<ApiKey[]>
  /** False: the account has no such key, or it was revoked before. */
  revokeApiKey(accountId: string, keyId: string): Promise<boolean>
}

export interface NewApiKey {
  name: string
  scopes: readonly Scope[]
  limits?: LimitSettings
  expiresAt?: Date | undefined
}

/** What is kept of an API key, and may be shown. */
export interface ApiKey {
  id: string
  name: string
  /** Its first four letters after the mark. */
  prefix: string
  scopes: readonly Scope[]
  limits: LimitSettings
  createdAt: Date
  expiresAt: Date | undefined
  lastUsedAt: Date | undefined
}

/**
 * A cache tier that all pods share, for texts that may be lost at any time. Each key has at most one lease to load its
 * value; a lease is a token, tokens only grow, and only the latest one may write. All times are durations by the tier's
 * own clock. What it cannot do within its own time limit it does not do: `undefined`, never an error.
 */
export interface SharedCache {
  read(key: string, ask: SharedAsk): Promise<SharedRead | undefined>
  /** False: the lease has passed to another, or the entry was invalidated meanwhile, and nothing was written. */
  write(key: string, entry: SharedWrite): Promise<boolean | undefined>
  /** The load goes on. False: the lease is lost. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean | undefined>
  /** The load failed. One other may try at once; after its failure nobody gets the lease for `restMs`. */
  fail(key: string, token: string, restMs: number): Promise<void>
  /** Drops the value and every lease, and tells all pods. False: it could not be done. */
  invalidate(key: string): Promise<boolean>
  listen(listener: SharedListener): void
}

export interface SharedAsk {
  /** Version that the asker holds; that value is neither sent again nor enough. @default none */
  known?: string | undefined
  /** A value younger than this is enough. */
  youngerThanMs: number
  /** Where none is, the lease is asked for, for this long; 0 = it is not. */
  leaseMs: number
}

export interface SharedRead {
  /** What is held, also where it is not young enough. */
  entry: SharedEntry | undefined
  lease: SharedLease
}

export interface SharedEntry {
  value: string
  version: string
  ageMs: number
  /** How long its load took. */
  tookMs: number
}

/** `held`: another loads. `resting`: loads have failed. `forMs`: until asking again can help. */
export type SharedLease =
  | { state: 'none' }
  | { state: 'granted'; token: string }
  | { state: 'held' | 'resting'; forMs: number }

export interface SharedWrite {
  value: string
  /** Undefined: written without a lease, for values of which any will do. */
  token: string | undefined
  /** Since it was loaded. */
  ageMs: number
  tookMs: number
  /** Longest age at which it is handed out. */
  ttlMs: number
}

export interface SharedListener {
  /** A load that others wait for has ended, well or not. */
  onLoaded(key: string): void
  onInvalidated(key: string): void
  /** Invalidations may have been missed. */
  onGap(): void
}

/** Whether callers may change anything. */
export interface WriteMode {
  /** A plain property, since it is asked for every request that writes. */
  readonly readOnly: boolean
  status(): WriteModeStatus
  /** The operator's switch. In force in this pod at once and in the others within a second. */
  set(readOnly: boolean): Promise<WriteModeStatus>
}

export interface WriteModeStatus {
  readOnly: boolean
  /** The first that holds: `environment` and `primary_lost` cannot be switched off. */
  reason: 'environment' | 'operator' | 'primary_lost' | undefined
  since: Date | undefined
  /** False: the switch is known to this pod alone, until the primary can take it. */
  stored: boolean
}

/** What must not be forgotten before it is in the database. One line of text an event. */
export interface Journal {
  /** Notes one; it survives the process a few ms later. False: the journal is full, nothing was noted. */
  append(event: string): boolean
  /** Resolves when all that was appended survives the machine's power, too. */
  flush(): Promise<void>
  /** Of those that are not settled, in their order; fewer than `max` do not mean that there are no more. */
  oldest(max: number): Promise<readonly JournalEntry[]>
  /** This one and all before are in the database: their room is free again. After a crash some may be offered again. */
  settle(position: number): void
  readonly pending: number
  /** So nearly that nothing should be begun that would have to be noted. */
  readonly full: boolean
  /** Lines found unreadable at the start, as the last one of a process that was killed. */
  readonly lost: number
  close(): Promise<void>
}

export interface JournalEntry {
  /** Grows from event to event, over restarts too. */
  position: number
  event: string
}

/** Money that comes in. */
export interface Credits {
  /** Once for each id and kind, however often it is told. False: it had been told before. */
  grant(accountId: string, credit: Credit): Promise<boolean>
}

export interface Credit {
  /** A UUID. */
  id: string
  kind: 'signup' | 'bootstrap' | 'granted' | 'payment'
  amount: MicroUsd
}

/**
 * What was used and the billing system has not been told. An account's charges are delivered one after the other, by
 * whoever has the account's turn; what a charge holds is settled before it is sent, and never changes after that.
 */
export interface BillingOutbox {
  /** Turns that nobody has, of accounts with something to deliver: at most `max`, kept for `forMs`. */
  takeTurns(ask: { holder: string; max: number; forMs: number }): Promise<Turn[]>
  /**
   * The charge that was begun and not finished, else a new one of the oldest operations; the turn is kept for `forMs`
   * more. Undefined: there is nothing left, or the turn has passed to another.
   */
  nextCharge(turn: Turn, options: { maxOperations: number; forMs: number }): Promise<Charge | undefined>
  /** Its operations leave the outbox and the charge is remembered. Told again, it changes nothing. */
  finish(charge: Charge, end: ChargeEnd): Promise<void>
  /** Gives the turn back; nobody takes it for `restMs`. `failures` is told to whoever takes it next. */
  endTurn(turn: Turn, options: { restMs: number; failures: number }): Promise<void>
  /** Operations that wait, counted up to 100,000. */
  pending(): Promise<number>
}

export interface Turn {
  accountId: string
  /** A UUID, new for each process. */
  holder: string
  /** Deliveries that failed in a row before it. */
  failures: number
}

/** Payments by card, of which an account has at most one for each of its idempotency keys. */
export interface PaymentStore {
  /** Begun as `processing`; or, not new, the one that has that key already. */
  begin(payment: NewPayment): Promise<{ payment: Payment; isNew: boolean }>
  find(accountId: string, paymentId: string): Promise<Payment | undefined>
  /** From `created` to `processing`; true for one caller alone. */
  resume(accountId: string, paymentId: string): Promise<boolean>
  /** What is known of it now. One that succeeded stays as it is. Answers what it is then. */
  move(accountId: string, paymentId: string, to: PaymentMove): Promise<Payment | undefined>
  /** An operator has to look: it is not asked for any more. */
  park(accountId: string, paymentId: string, problem: string): Promise<void>
  /**
   * Some whose outcome is open and that it is time to ask the provider for, at most `max`, over all accounts. Each goes
   * to one pod, and is due again when it is twice as old, an hour later at most; after 30 days it is left alone.
   */
  takeOpen(max: number): Promise<Payment[]>
}

export interface PaymentMove {
  state: PaymentState
  intentId?: string | undefined
  declineCode?: string | undefined
}

export interface UsageStore {
  /** All of them or, where it rejects, perhaps some. Those that are there already change nothing. */
  record(events: readonly UsageEvent[]): Promise<{ refused: number }>
  /** Which primary takes them. Another one may lack what the one before had taken last. */
  primary(): string
}

export type HealthProbe = (signal: AbortSignal) => Promise<void>

export interface Metrics {
  count<const I extends Counter>(instrument: I, labels: Labels<I>, by?: number): void
  observe<const I extends Histogram>(instrument: I, labels: Labels<I>, value: number): void
  /** `read` runs at each scrape. */
  gauge<const I extends Gauge>(instrument: I, read: () => Iterable<[labels: Labels<I>, value: number]>): void
  /** The Prometheus text page. */
  render(): Promise<{ contentType: string; text: string }>
}

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}
