/**
 * Everything the world must supply to the portable core, on one page. `adapters/*` implement these for a runtime;
 * `gateway.ts` receives them. Nothing in `src/` reaches a clock, a die, a socket, a file or an environment by itself.
 */

import type { Charge, ChargeEnd } from './domain/charge.ts'
import type { Deployment, NewDeployment } from './domain/deployment.ts'
import type { Blocked, SpentByMinute, WindowChanges, WindowLimits, WindowName } from './domain/guardrails.ts'
import type { Claim, Ending, HeldKey } from './domain/idempotency.ts'
import type { Terms } from './domain/ledger.ts'
import type { MicroUsd } from './domain/money.ts'
import type { MarketName } from './domain/offer.ts'
import type { NewPayment, Payment, PaymentState } from './domain/payment.ts'
import type { Preference } from './domain/preference.ts'
import type { PriceAt } from './domain/price-history.ts'
import type { KeyLimits, LimitSettings, Principal, Role, Scope } from './domain/principal.ts'
import type { Receipt } from './domain/receipt.ts'
import type { Endpoint, EndReason, NewRental, Rental, RentalOffer, RentalSpec, RentalState } from './domain/rental.ts'
import type { NextHour } from './domain/rental-changes.ts'
import type { SignInSubject } from './domain/sign-in-delay.ts'
import type {
  Position,
  SumKind,
  Transaction,
  UsageGroup,
  UsagePlace,
  UsageQuestion,
  UsageRow,
} from './domain/statement.ts'
import type { User } from './domain/user.ts'
import type { Load } from './resilience/brownout.ts'
import type { Clock } from './resilience/clock.ts'
import type { FleetBoard } from './resilience/fleet-board.ts'
import type { LimitStore } from './resilience/leased-limits.ts'
import type { Counter, Gauge, Histogram, Labels } from './telemetry/instruments.ts'
import type { LogFields } from './telemetry/log-fields.ts'
import type { Tracing } from './telemetry/trace.ts'

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
  streamBody: StreamBody
  accounts: Accounts
  users: Users
  sessions: Sessions
  signInAttempts: SignInAttempts
  passwords: Passwords
  /** Counts that all pods share; absent: this pod counts by itself. */
  limitStore?: LimitStore | undefined
  /** Absent where there is none: each pod then caches for itself. */
  sharedCache?: SharedCache | undefined
  writeMode: WriteMode
  journal: Journal
  ledgerStore: LedgerStore
  billingOutbox: BillingOutbox
  paymentStore: PaymentStore
  idempotency: Idempotency
  credits: Credits
  statements: Statements
  guardrails: Guardrails
  upkeep: Upkeep
  usageSums: UsageSums
  rentals: Rentals
  turns: Turns
  sightings: Sightings
  /** Ed25519, PKCS #8 in base64: what receipts are signed with. */
  receiptKey: string
  /** What `/health` asks: each resolves when the dependency answers and rejects when it does not. */
  dependencies: Record<'database' | 'redis', HealthProbe | 'in_process'>
  /** Of this pod, over its restarts, and of this run of it: whose holds are whose. */
  identity: { podId: string; processId: string }
  /** Of what the fleet may do only once in a while. */
  pace: Pace
  priceHistory: PriceHistory
  preferences: Preferences
  /** Eight hexadecimal digits, of all pods that share a database, for ever: in the labels of machines. */
  fleetId: string
  deployments: Deployments
  /** Calls rented machines, whose addresses strangers chose: it connects to public ones alone. */
  instanceHttp: HttpClient
  /** Joins callers with rented machines, under the same rule. */
  tunnel: Tunnel
  metrics: Metrics
  log: Log
  /** Absent where the runtime cannot tell: then nothing is shed for its sake. */
  load?: LoadProbe
  /** Absent: nothing is traced, which costs nothing. */
  tracing?: Tracing | undefined
  /** Absent where the runtime has no pages for people. */
  consoleFiles?: ConsoleFiles | undefined
  /** What the pods of a fleet tell each other. Absent where this pod is alone. */
  fleet?: FleetBoard
}

/** A file of the console by its name; undefined = there is none. */
export type ConsoleFiles = (name: string) => { type: string; etag: string; bytes: Uint8Array } | undefined

/** How busy the process was since the last call. */
export type LoadProbe = () => Load

/** An outgoing call as a plain record. */
export interface HttpCall {
  /** In capitals. */
  method: string
  /** Scheme, host and port, as in `https://api.example.com`. */
  origin: string
  /** Path and query, beginning with `/`. */
  path: string
  headers: Record<string, string>
  /** An iterable is sent as it is read: with `content-length` where the headers have one, else in chunks. */
  body?: string | Uint8Array | AsyncIterable<Uint8Array>
  /** Made for this call alone. Aborting it ends the call at once, whatever its phase, and closes its socket. */
  signal: AbortSignal
  /** Longest wait for the response's headers once the request is sent, in ms; 0 = none. */
  headersTimeoutMs: number
  /** Longest silence within the body, in ms; 0 = none. */
  idleTimeoutMs: number
  /** Most bytes of body accepted, counted after decoding. */
  maxBytes: number
  /** Of a stream: an answer in whatever encoding is passed on, its bytes as they came. @default an encoded one is malformed */
  anyEncoding?: boolean
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
export type Reply = (status: number, headers: AnswerHeaders, body: ReplyBody) => Response

/** A list is a header that stands several times, as `set-cookie` does. */
export type AnswerHeaders = Record<string, string | readonly string[]>

/** Reads a whole request body; throws ApiError `body_too_large` past `maxBytes`, without keeping what came before. */
export type ReadBody = (request: Request, bindings: unknown, maxBytes: number) => Promise<Uint8Array>

/**
 * The body of a request as it comes, read no faster than it is taken; undefined = it has none. However long it takes as
 * a whole: its iteration throws ApiError `body_timeout` after a silence of `idleMs`, `client_closed` where its sender left.
 */
export type StreamBody = (
  request: Request,
  bindings: unknown,
  options: { idleMs: number },
) => AsyncIterable<Uint8Array> | undefined

/**
 * Asks a machine for a WebSocket in the caller's name. Where it agrees, the answer is its 101: once that has been sent,
 * bytes pass both ways untouched, each side read no faster than the other takes it. Fails as `HttpClient` does.
 */
export type Tunnel = (
  bindings: unknown,
  call: Omit<HttpCall, 'method' | 'body' | 'maxBytes'>,
) => Promise<HttpReply<AsyncIterable<Uint8Array>> | OpenTunnel>

/** Ends with either side, after `idleTimeoutMs` of silence on both, and with the call's signal. */
export interface OpenTunnel {
  status: 101
  headers: HttpReply<unknown>['headers']
  closed: Promise<void>
}

export interface Accounts {
  /** The principal that an API key stands for; undefined when it is unknown, expired or revoked. */
  findByApiKey(apiKey: string): Promise<Principal | undefined>
  createAccount(account: {
    name: string
    role?: Principal['role']
    limits?: LimitSettings
  }): Promise<{ accountId: string }>
  /**
   * The key itself is in this answer and nowhere else.
   * @throws ApiError `too_many_api_keys`; `unknown_account`, also where it was closed a moment ago
   */
  createApiKey(accountId: string, key: NewApiKey): Promise<ApiKey & { apiKey: string }>
  /**
   * A new key with the settings of another, which goes on working for `overlapMs`; 0 = it is revoked at once.
   * Undefined: the account has no such key, or it was revoked.
   * @throws ApiError `too_many_api_keys`
   */
  rotateApiKey(accountId: string, keyId: string, overlapMs: number): Promise<(ApiKey & { apiKey: string }) | undefined>
  /** Also one that has expired. Undefined: the account has no such key, or it was revoked. */
  findApiKey(accountId: string, keyId: string): Promise<ApiKey | undefined>
  /** Those that were not revoked nor expired a week ago, the newest first, 1,000 at most. What was changed through this port is seen at once. */
  listApiKeys(accountId: string): Promise<ApiKey[]>
  /** Also of a key that was revoked or has expired: what was begun with it may outlast it. Undefined: the account never had it. */
  keyLimits(accountId: string, keyId: string): Promise<KeyLimits | undefined>
  /** False: the account has no such key, or it was revoked before. */
  revokeApiKey(accountId: string, keyId: string): Promise<boolean>
  /** For `lastUsedAt`, which never goes back. Keys that are not there are passed over. */
  recordKeyUse(uses: readonly KeyUse[]): Promise<void>
}

export interface KeyUse {
  accountId: string
  keyId: string
  at: Date
}

/** All accounts as people: those who sign in with an email and a password, and those that have keys alone. */
export interface Users {
  /** `email` is normalised, `role` is user unless it is said. Undefined: another account has it. */
  register(user: { email: string; name: string; role?: Role; passwordHash: string }): Promise<User | undefined>
  /** Of an account that may sign in. `place` is where the attempt comes from. */
  findForSignIn(email: string, place: string): Promise<SignInCandidate | undefined>
  /** Undefined also where it was closed. */
  find(accountId: string): Promise<User | undefined>
  /** Undefined: nobody can sign in, since there is none or it has expired. */
  passwordHash(accountId: string): Promise<string | undefined>
  /** False: there is no such account, or its hash is not `from` any more. */
  setPassword(accountId: string, change: PasswordChange): Promise<boolean>
  /** The newest first, without those that were closed. `email`: how it begins. `before`: the last id of the page before. */
  list(page: { email?: string | undefined; before?: string | undefined; limit: number }): Promise<User[]>
  update(accountId: string, changes: UserChanges): Promise<User | undefined>
  /** Forgets its sessions, revokes its keys and forgets who it was; what it used and paid stays. False: it was closed before. */
  close(accountId: string): Promise<boolean>
}

export interface SignInCandidate {
  user: User
  passwordHash: string
  /** It was signed in from this place within the last 30 days. */
  knownPlace: boolean
}

export interface PasswordChange {
  hash: string
  /** The hash that this is to replace. @default any */
  from?: string | undefined
  /** @default never */
  expiresAt?: Date | undefined
  /** `all`, or all but the session of this id. @default none */
  endSessions?: 'all' | { except: string } | undefined
}

export interface UserChanges {
  disabled?: boolean | undefined
  role?: Role | undefined
  /** What is left out stays, null is no limit any more. */
  limits?: { [L in keyof LimitSettings]: number | null | undefined } | undefined
}

/**
 * Who is signed in. A session is a family of refresh tokens, each made from the one before and good once; an account has
 * at most 50, of which the oldest ends when there is one more.
 */
export interface Sessions {
  /** Undefined: the account may not sign in, or its password hash is another by now. */
  start(session: {
    accountId: string
    passwordHash: string
    place: string
    lifetimeMs: number
  }): Promise<RefreshedSession | undefined>
  /** Undefined: it has ended or expired, or its account is disabled. */
  find(accountId: string, sessionId: string): Promise<Principal | undefined>
  /**
   * `unknown`: no token of a session that lives. `superseded`: another took its place in the last ten seconds, as when
   * two tabs renew at once. `reused`: it was used long before, so somebody has a copy, and the session has ended.
   */
  renew(
    refreshToken: string,
    lifetimeMs: number,
  ): Promise<
    | ({ outcome: 'renewed' } & RefreshedSession)
    | { outcome: 'unknown' }
    | { outcome: 'superseded' | 'reused'; accountId: string; sessionId: string }
  >
  /** False: there is none, or it had ended. */
  end(accountId: string, sessionId: string): Promise<boolean>
  /** By any of its refresh tokens. */
  endByToken(refreshToken: string): Promise<boolean>
  /** Those that are remembered, ended ones too: 50 at most, the newest first. */
  list(accountId: string): Promise<SessionRecord[]>
}

export interface SessionRecord {
  sessionId: string
  createdAt: Date
  renewedAt: Date
  expiresAt: Date
  endedAt: Date | undefined
}

export interface RefreshedSession {
  accountId: string
  sessionId: string
  /** In this answer and nowhere else. */
  refreshToken: string
}

/** Attempts to sign in, counted for all pods together. */
export interface SignInAttempts {
  /** Counts one against each; or tells how long, in ms, one of them has to wait, and counts none. */
  take(subjects: readonly SignInSubject[]): Promise<number>
  /** It was no guess: what `take` counted is taken back. */
  giveBack(subjects: readonly SignInSubject[]): Promise<void>
}

/** Both take tens of ms and MB on purpose. @throws ApiError `overloaded` where too many are under way. */
export interface Passwords {
  hash(password: string): Promise<string>
  /** `outdated`: right, and to be hashed anew. Without a hash it takes as long, and is wrong. */
  check(password: string, hash: string | undefined): Promise<'right' | 'outdated' | 'wrong'>
  /** A new password that nobody can guess. */
  generate(): string
}

/** What keeps accounts does not answer, or did not say whether it did what it was asked. */
export class StorageUnavailable extends Error {
  override name = 'StorageUnavailable'
  /** False: nothing of it happened, so it may be tried again. */
  readonly mayHaveRun: boolean
  constructor(message: string, { mayHaveRun = false, cause }: { mayHaveRun?: boolean; cause?: unknown } = {}) {
    super(message, { cause })
    this.mayHaveRun = mayHaveRun
  }
}

export interface NewApiKey {
  name: string
  scopes: readonly Scope[]
  limits?: KeyLimits
  expiresAt?: Date | undefined
}

/** What is kept of an API key, and may be shown. */
export interface ApiKey {
  id: string
  name: string
  /** Its first four letters after the mark. */
  prefix: string
  scopes: readonly Scope[]
  limits: KeyLimits
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
  /** Notes one, which survives the process a few ms later. Its position; 0 = the journal is full, nothing was noted. */
  append(event: string): number
  /** Resolves, within this turn of the event loop, when all that was appended survives the process. */
  written(): Promise<void>
  /** Resolves when all that was appended survives the machine's power, too. */
  flush(): Promise<void>
  /** Of those that are not settled, in their order; fewer than `max` do not mean that there are no more. */
  oldest(max: number): Promise<readonly JournalEntry[]>
  /** All that are not settled, in their order. For the start, before anything is settled. */
  unsettled(): AsyncIterable<JournalEntry>
  /** This one and all before are in the database: their room is free again. After a crash some may be offered again. */
  settle(position: number): void
  readonly pending: number
  /** Of the last that was noted. */
  readonly position: number
  /** So nearly that nothing should be begun that would have to be noted. */
  readonly full: boolean
  /** Lines found unreadable, as the last one of a process that was killed. */
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
  /** What was granted under that id; undefined = nothing. */
  granted(accountId: string, credit: Pick<Credit, 'id' | 'kind'>): Promise<Pick<Credit, 'amount' | 'note'> | undefined>
}

export interface Credit {
  /** A UUID. */
  id: string
  kind: 'signup' | 'bootstrap' | 'granted' | 'payment'
  amount: MicroUsd
  /** Why, for the account's owner to read. */
  note?: string | undefined
}

/** What an account's owner may read of its money. */
export interface Statements {
  /** As it is now, always. */
  balance(accountId: string): Promise<Balance>
  /** At most `limit`, the newest first, from that position on, itself included. @default from the newest */
  transactions(accountId: string, page: { limit: number; from?: Position | undefined }): Promise<Transaction[]>
  /** Days in their order, `maxUsageDays` at most; other groups the dearest first, a thousand at most. */
  usage(accountId: string, question: UsageQuestion): Promise<UsageGroup[]>
  /** At most `limit`, the oldest first, after that one. @default from the first */
  usageRows(accountId: string, page: { limit: number; after?: UsagePlace | undefined }): Promise<UsageRow[]>
  receipt(accountId: string, requestId: string): Promise<Receipt | undefined>
  /** At most `limit`, the newest first, of requests that began before that one did. @default the newest */
  receipts(accountId: string, page: { limit: number; before?: string | undefined }): Promise<Receipt[]>
}

export interface Balance {
  /** What may be spent, leased slices included. */
  available: MicroUsd
  /** Set aside for what is under way. */
  held: MicroUsd
}

/** What the guard rails of an account are, and what counts against them. */
export interface Guardrails {
  state(accountId: string): Promise<GuardrailState>
  setLimits(accountId: string, changes: WindowChanges): Promise<void>
  /** Whether passing a limit is only told, and nothing is refused. */
  setShadow(accountId: string, shadow: boolean): Promise<void>
  /** What was spent before this minute since 1970 counts no more. */
  reset(accountId: string, minute: number): Promise<void>
}

export interface GuardrailState {
  /** The account's own. */
  limits: WindowLimits
  shadow: boolean
  /** Of the last 72 hours, since the last reset. */
  spent: SpentByMinute
  /** Held and leased: counts as spent in the minute under way. */
  outstanding: MicroUsd
}

/** What all accounts together used, summed in the background: minutes old, and no account's own business. */
export interface UsageSums {
  /** Of the month that begins with that day: days in their order, others the dearest first, at most a hundred. */
  read(question: { kind: SumKind; month: string }): Promise<UsageGroup[]>
  /** Sums that month of all accounts anew. */
  sum(month: string): Promise<void>
  /**
   * Accounts whose sums are not what their usage is since that day: made anew for its month and those after. A pod of the
   * version before does not write them. At most a hundred accounts; how many they were.
   */
  mend(from: string): Promise<number>
}

/** What is kept for a time only. Each step is small, and done by one pod at a time. */
export interface Upkeep {
  /**
   * Room for receipts of the days `from` to `to`, none of those before `dropBefore` (days as in `2026-11-25`). Busy:
   * another pod is at it, or the tables are in use; what is left is done when it is called again.
   */
  keepReceiptDays(days: { from: string; to: string; dropBefore: string }): Promise<'done' | 'busy'>
  /** Of the spending by the minute what is older, at most so much. How many are gone. */
  forgetSpending(options: { beforeMinute: number; max: number }): Promise<number>
}

/** The ledger's books. Money is moved here and nowhere else. */
export interface LedgerStore {
  /**
   * Enters a group (a JSON array of `LedgerEvent`): all of it, or where it rejects none. What is there already changes nothing.
   * `refused`: could not be entered, whatever was tried. `spendable`: what is left to lease, of the accounts concerned.
   */
  enter(group: string): Promise<{ refused: number; spendable: ReadonlyMap<string, MicroUsd> }>
  /** Takes a slice of an account's credit for this process. */
  lease(ask: LeaseAsk): Promise<LeaseAnswer>
  /** What could be leased, where nothing may be written. From a replica it may be seconds old. */
  look(accountId: string): Promise<Pick<LeaseAnswer, 'spendable' | 'elsewhere' | 'held' | 'limited'>>
  /**
   * Gives back what is not needed, as far as the books have it; `all`: also what they and this process do not agree on.
   * Answers how much came back, by purse.
   */
  giveBack(slices: readonly CreditSlice[]): Promise<ReadonlyMap<string, MicroUsd>>
  /** The slices are still in use. Answers those that are there no longer. */
  renew(slices: readonly Omit<CreditSlice, 'amount'>[]): Promise<readonly string[]>
  /** Holds that this pod made before this process began. At most so many. */
  formerHolds(podId: string, processId: string, max: number): Promise<readonly OpenHold[]>
  /** Gives back the slices of this pod's former processes. Once their events are entered. */
  endFormerLeases(podId: string, processId: string): Promise<void>
  /** Holds older than this whose pod did not come back, and slices that were not renewed for so long. */
  abandoned(ask: { holdsOlderThanMs: number; max: number }): Promise<readonly OpenHold[]>
  endAbandonedLeases(notRenewedForMs: number): Promise<number>
  /** How far an operation has come; undefined = the books know nothing of it. */
  stateOf(accountId: string, operationId: string): Promise<'hold' | 'settle' | 'release' | undefined>
  /** Which primary takes them. Another one may lack what the one before had taken last. */
  primary(): string
}

export interface LeaseAsk {
  accountId: string
  purseId: string
  processId: string
  podId: string
  /** Of the key whose purse it is. */
  budgets: Budgets | undefined
  /** No less will do... */
  need: MicroUsd
  /** ...and no more is wanted. */
  want: MicroUsd
}

export interface Budgets {
  keyId: string
  perDay: MicroUsd | undefined
  perMonth: MicroUsd | undefined
}

/** `elsewhere`: what other processes have leased and not spent. Limits that only report are told beside a grant. */
export interface LeaseAnswer {
  granted: MicroUsd
  spendable: MicroUsd
  elsewhere: MicroUsd
  held: MicroUsd
  /** Guard rails are set, of the account or of all. */
  limited: boolean
  blocked: LeaseBlock | undefined
  /** The window would have refused it, but this account is only being watched. */
  shadowed: LeaseBlock | undefined
}

export type LeaseBlock =
  | (Omit<Blocked, 'window'> & { by: 'window'; window: WindowName })
  | { by: 'budget'; period: 'day' | 'month'; limit: MicroUsd; spent: MicroUsd; asked: MicroUsd }

export interface CreditSlice {
  accountId: string
  purseId: string
  processId: string
  amount: MicroUsd | 'all'
}

export interface OpenHold {
  accountId: string
  operationId: string
  keyId: string
  purseId: string
  processId: string
  amount: MicroUsd
  terms: Terms
  outputTokens: number
}

/**
 * Which request an Idempotency-Key was executed for, and what came of it. Always asked of the primary; every call rejects
 * where that cannot answer. Times are the store's own clock's.
 */
export interface Idempotency {
  /** `claimed`: the key is this execution's now. Otherwise nothing has changed. */
  claim(key: HeldKey, fingerprint: string): Promise<Claim>
  /** From an execution that has gone silent to this one. False: another was first, or it was heard of again. */
  takeOver(key: HeldKey, silent: { requestId: string }): Promise<boolean>
  /** Only while the key is this execution's. What was given up as lost may still be answered, or released. */
  end(key: HeldKey, ending: Ending): Promise<void>
  /** Nothing came of it: the key is free. */
  release(key: HeldKey): Promise<void>
  /**
   * What this pod's former process had under way counts as silent at once, and its pod as back. Once what that process
   * noted is in the books.
   */
  endFormer(): Promise<void>
  /** These executions are under way. */
  beat(keys: readonly HeldKey[]): Promise<void>
  /** Forgets at most `max` keys that are older than they are kept; answers how many. */
  purge(max: number): Promise<number>
  /** All keys of an account and the answers that are kept for them, in steps. */
  forget(accountId: string): Promise<void>
}

/**
 * What came of an execution that has not told. `none`: nothing was sent to a provider or paid, and nothing will be;
 * `spent`: it was, or nobody knows. `podId`: the pod it ran in, which may have noted what is not in the database yet;
 * undefined = this process.
 */
export type OutcomeOf = (accountId: string, requestId: string, podId: string | undefined) => Promise<'none' | 'spent'>

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
  /** At most `limit`, the newest first. `before`: the last id of the page before. */
  list(accountId: string, page: { limit: number; before?: string | undefined }): Promise<Payment[]>
  /** From `created` to `processing`; true for one caller alone. */
  resume(accountId: string, paymentId: string): Promise<boolean>
  /** What is known of it now. One that succeeded stays as it is. Answers what it is then, and what it was until then. */
  move(
    accountId: string,
    paymentId: string,
    to: PaymentMove,
  ): Promise<{ payment: Payment; was: PaymentState } | undefined>
  /** An operator has to look: it is not asked for any more. */
  park(accountId: string, paymentId: string, problem: string): Promise<void>
  /**
   * Some whose outcome is open and that it is time to ask the provider for, at most `max`, over all accounts. Each goes
   * to one pod, and is due again when it is twice as old, an hour later at most; after 30 days it is left alone. One that
   * failed and has an intent is among them, without the hour: its payer may yet pay it.
   */
  takeOpen(max: number): Promise<Payment[]>
}

export interface PaymentMove {
  state: PaymentState
  intentId?: string | undefined
  declineCode?: string | undefined
}

/**
 * Machines that are rented. A change of a rental and of the money for it are one transaction; whoever changes one says
 * which version he saw, and comes too late where it is another by now. Times are the caller's.
 */
export interface Rentals {
  /** All of them and the credit for each one's first hour (`hold`), or none. */
  begin(rentals: readonly { rental: NewRental; hold: MicroUsd }[], terms: HoldTerms): Promise<Rental[] | HoldRefusal>
  find(accountId: string, rentalId: string): Promise<Rental | undefined>
  /** The newest first, without those that are gone unless they are asked for. `before`: the last id of the page before. */
  list(
    accountId: string,
    page: {
      limit: number
      before?: string | undefined
      reservationId?: string | undefined
      deploymentId?: string | undefined
      /** @default false */
      withGone?: boolean | undefined
    },
  ): Promise<Rental[]>
  /** Undefined: it is another version by now, and nothing was changed. */
  change(seen: RentalSeen, change: RentalChange): Promise<Rental | undefined>
  /** A refusal changes nothing. */
  nextHour(seen: RentalSeen, hour: NextHour, terms: HoldTerms): Promise<Rental | HoldRefusal | undefined>
  /**
   * The last: the hour under way came to `settle`, and `refund` is given back of what the hours before came to. What the
   * account cannot pay is written off. Nothing is held for it after that.
   */
  end(
    seen: RentalSeen,
    end: { at: Date; state: 'gone' | 'failed'; reason: EndReason; settle: MicroUsd; refund: MicroUsd },
  ): Promise<Rental | undefined>
  /**
   * Something has to be done for them by now; each goes to one pod, and is due again after `forMs`. The oldest first. No
   * other pod has it until then by the store's own clock, whatever that pod's says, or until a change says when it is due.
   */
  takeDue(ask: { now: Date; max: number; forMs: number }): Promise<Rental[]>
  /** All that are not final, of a market: at most 10,000. */
  live(market: MarketName): Promise<Rental[]>
  /** Whatever their state is, in any order; those that are not there are left out. */
  byIds(rentalIds: readonly string[]): Promise<Rental[]>
  /** Of all accounts, those that are not gone, the newest first. `before`: the last id of the page before. */
  newest(page: { limit: number; before?: string | undefined }): Promise<Rental[]>
  /** Counts for `gpu_instances`, of those that are not gone. */
  counts(): Promise<{ market: MarketName; state: RentalState; count: number }[]>
}

export type RentalSeen = Pick<Rental, 'accountId' | 'id' | 'version'>

/** What is left out stays. */
export interface RentalChange {
  state?: RentalState | undefined
  reason?: EndReason | undefined
  /** Replaces the one before; the hold stays. */
  offer?: RentalOffer | undefined
  spec?: RentalSpec | undefined
  tried?: readonly string[] | undefined
  marketId?: string | undefined
  endpoints?: readonly Endpoint[] | undefined
  createSentAt?: Date | undefined
  startedAt?: Date | undefined
  heardAt?: Date | undefined
  /** Nothing of it is left at the market, which has not told yet what it came to. */
  endedAt?: Date | undefined
  dueAt?: Date | undefined
  failures?: number | undefined
  accrued?: MicroUsd | undefined
  accruedAt?: Date | undefined
  replacedBy?: string | undefined
}

/** What a hold has to keep within, besides the credit and the guard rails. */
export interface HoldTerms {
  accountId: string
  purseId: string
  budgets: Budgets | undefined
}

/** `elsewhere`: what processes have leased, and will give back in part where they do not need it. */
export type HoldRefusal =
  | { refused: 'credit'; asked: MicroUsd; spendable: MicroUsd; elsewhere: MicroUsd }
  | { refused: 'block'; block: LeaseBlock }
  /** The account is closed, or the deployment it is for is gone or going: nobody would end it. */
  | { refused: 'ended' }

/** Models served on rented machines. Whoever changes one says which version he saw. Times are the caller's. */
export interface Deployments {
  /** Due at `dueAt`: until then whoever creates it is at it. `too_many`: the account has 50. `full`: all accounts have 2,000. */
  create(deployment: NewDeployment, at: Date, dueAt: Date): Promise<Deployment | 'name_taken' | 'too_many' | 'full'>
  find(accountId: string, deploymentId: string): Promise<Deployment | undefined>
  /** The newest first. `before`: the last id of the page before. */
  list(accountId: string, page: { limit: number; before?: string | undefined }): Promise<Deployment[]>
  /** Undefined: it is another version by now, and nothing was changed. */
  change(seen: DeploymentSeen, change: DeploymentChange): Promise<Deployment | undefined>
  /** Nothing of it is kept, its secrets least of all. False: it is another version by now, or gone. */
  remove(seen: DeploymentSeen): Promise<boolean>
  /** They are to be looked at by now; each goes to one pod, as rentals do. */
  takeDue(ask: { now: Date; max: number; forMs: number }): Promise<Deployment[]>
  /** Of all accounts, the oldest first: as many as there may be. */
  all(): Promise<Deployment[]>
  /** Requests are under way on these machines. No version of its own: another pod's word takes nothing back. */
  noteBusy(of: Pick<Deployment, 'accountId' | 'id'>, rentalIds: readonly string[], at: Date): Promise<void>
}

export type DeploymentSeen = Pick<Deployment, 'accountId' | 'id' | 'version'>

/** What is left out stays. */
export interface DeploymentChange {
  replicas?: number | undefined
  endAskedAt?: Date | undefined
  dueAt?: Date | undefined
  /** How it stands; all of it together. */
  standing?: Pick<Deployment, 'members' | 'spent' | 'failures' | 'retryAt' | 'reason' | 'gaveUp'> | undefined
  /** Forgets which machines were busy. */
  noneBusy?: boolean | undefined
}

/** What one pod does for the whole fleet, and for how long nobody else does. */
export interface Turns {
  /** False: another has it. Taken again by its holder it is prolonged. */
  take(name: string, holder: string, forMs: number): Promise<boolean>
  /** It is free at once. */
  endTurn(name: string, holder: string): Promise<void>
}

/** What GPUs cost, by hours of UTC. Nobody's own: the markets'. */
export interface PriceHistory {
  /** An hour that is there already keeps the lower of the two cheapest prices and lowest bids, and the later median. */
  note(hours: readonly PriceHour[]): Promise<void>
  /** GPUs of which there is an hour since then, at most 500. */
  names(since: Date): Promise<string[]>
  /** Of each market, over its regions together or of one, the oldest first; at most 4,400. */
  hours(ask: {
    gpuModel: string
    since: Date
    market?: MarketName | undefined
    /** In capitals or not. */
    region?: string | undefined
  }): Promise<(PriceAt & { market: MarketName })[]>
  forget(before: Date): Promise<void>
}

/** Prices of one GPU and hour. */
export interface PriceHour extends PriceAt {
  market: MarketName
  gpuModel: string
  region: string
  median: MicroUsd
}

/** What accounts have saved to look for machines by. Gone with the account. */
export interface Preferences {
  /**
   * In the place of the one of that name. `too_many`: the account has 50 others.
   * @throws ApiError `unknown_account` where it was closed a moment ago
   */
  save(accountId: string, preference: Preference): Promise<'created' | 'replaced' | 'too_many'>
  find(accountId: string, name: string): Promise<Preference | undefined>
  /** All of them, by name. */
  list(accountId: string): Promise<Preference[]>
  /** False: there was none. */
  remove(accountId: string, name: string): Promise<boolean>
}

/** What the whole fleet together may do only once in a while, as the markets want it. */
export interface Pace {
  /**
   * 0 = now; otherwise in how many ms it may be asked for again. One for each `intervalMs`, and after a rest up to
   * `burst` at once (GCRA). @default burst 1
   */
  take(key: string, intervalMs: number, burst?: number): Promise<number>
}

/**
 * Machines that markets list and no rental accounts for, and those that rentals have and no list shows: what is known of
 * them outlives the pod that read the lists.
 */
export interface Sightings {
  /** Notes that each was seen now; answers what is known of them. */
  note(
    market: MarketName,
    seen: readonly { machineId: string; label: string | undefined; at: Date }[],
  ): Promise<Sighting[]>
  /** Those of a market that were not seen since are forgotten. */
  forget(market: MarketName, notSeenSince: Date): Promise<void>
}

export interface Sighting {
  machineId: string
  firstSeenAt: Date
  /** In how many lists. */
  times: number
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
