/**
 * Everything the world must supply to the portable core, on one page. `adapters/*` implement these for a runtime;
 * `gateway.ts` receives them. Nothing in `src/` reaches a clock, a die, a socket, a file or an environment by itself.
 */

import type { KeyLimits, LimitSettings, Principal, Role, Scope } from './domain/principal.ts'
import type { SignInSubject } from './domain/sign-in-delay.ts'
import type { UsageEvent } from './domain/usage.ts'
import type { User } from './domain/user.ts'
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
  users: Users
  sessions: Sessions
  signInAttempts: SignInAttempts
  passwords: Passwords
  /** Absent where nobody keeps balances: then no credit is given. */
  credits?: Credits | undefined
  /** Counts that all pods share; absent: this pod counts by itself. */
  limitStore?: LimitStore | undefined
  /** Absent where there is none: each pod then caches for itself. */
  sharedCache?: SharedCache | undefined
  writeMode: WriteMode
  journal: Journal
  usageStore: UsageStore
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
  /**
   * The key itself is in this answer and nowhere else.
   * @throws ApiError `too_many_api_keys`
   */
  createApiKey(accountId: string, key: NewApiKey): Promise<ApiKey & { apiKey: string }>
  /**
   * A new key with the settings of another, which goes on working for `overlapMs`; 0 = it is revoked at once.
   * Undefined: the account has no such key, or it was revoked.
   * @throws ApiError `too_many_api_keys`
   */
  rotateApiKey(accountId: string, keyId: string, overlapMs: number): Promise<(ApiKey & { apiKey: string }) | undefined>
  /** Those that were not revoked nor expired a week ago, the newest first, 1,000 at most. What was changed through this port is seen at once. */
  listApiKeys(accountId: string): Promise<ApiKey[]>
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
  /** `email` is normalised. Undefined: another account has it. */
  register(user: { email: string; name: string; passwordHash: string }): Promise<User | undefined>
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
  /** Ends its sessions, revokes its keys and forgets who it was; what it used and paid stays. False: it was closed before. */
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

export interface Credits {
  /** `amount` in micro-dollars. The same id again changes nothing. */
  grant(
    accountId: string,
    grant: { id: string; amount: number; kind: 'signup' | 'bootstrap' | 'granted' },
  ): Promise<void>
}

/** What keeps accounts does not answer, or did not say whether it did what it was asked. */
export class StorageUnavailable extends Error {
  override name = 'StorageUnavailable'
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
