/** One connection of postgres.js, and the places where the driver has to be handled with care. */
import { connect } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import postgres from 'postgres'
import { textArrays } from './text-array.ts'

/** Makes statements and their parts from tagged templates. */
export type Sql = postgres.ISql

export interface DriverOptions {
  url?: string
  host?: string
  port?: number
  user?: string
  password?: string
  database?: string
  ssl?: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-full' | ConnectionOptions
  statementTimeoutMs: number
  connectTimeoutS: number
  maxLifetimeS: number
  pgbouncer: boolean
  random: () => number
}

/** One of the servers that `host` or `url` name. */
export interface Address {
  host: string
  port: number
}

export interface Client {
  sql: postgres.Sql
  inTransaction: boolean
  isLost: boolean
  /** Since when nobody uses it, by the clock of the pool. */
  idleSince: number
  /** Whoever uses the connection hears of its loss here. */
  onLost: ((error: Error) => void) | undefined
  giveUp(): void
}

/** Longer than the server's `deadlock_timeout` (1 s): two that lock each other out must not look like a slow lock. */
const lockTimeoutMs = 1_200
const idleInTransactionMs = 10_000

/** `onClosed` hears of a connection that ended outside of a transaction: the driver would make another when asked. */
export function openClient(
  options: DriverOptions,
  address: Address | undefined,
  { forget, onClosed }: { forget: (client: Client) => void; onClosed: (client: Client) => void },
): Client {
  const client: Client = {
    sql: openSql(options, address, () => {
      // Reconnecting within a transaction would run its rest on its own.
      if (client.inTransaction) client.giveUp()
      else onClosed(client)
    }),
    inTransaction: false,
    isLost: false,
    idleSince: 0,
    onLost: undefined,
    giveUp() {
      if (client.isLost) return
      client.isLost = true
      forget(client)
      client.onLost?.(Object.assign(new Error('connection given up'), { code: 'CONNECTION_DESTROYED' }))
      void client.sql.end({ timeout: 0 })
    },
  }
  return client
}

function openSql(
  { url, host, port, user, password, database, ssl, ...options }: DriverOptions,
  address: Address | undefined,
  onclose: () => void,
) {
  const settings: postgres.Options<{ textArrays: postgres.PostgresType }> = {
    max: 1,
    connect_timeout: options.connectTimeoutS,
    max_lifetime: options.maxLifetimeS * (1 - options.random() / 4),
    // A breaker decides when to try again; the driver's own backoff goes up to 20 s.
    backoff: () => 0.05,
    prepare: !options.pgbouncer,
    fetch_types: false,
    types: { textArrays },
    onnotice: () => {},
    onclose,
    connection: {
      application_name: 'aiserve-gpuproxy',
      // PgBouncer refuses start parameters that it does not know.
      ...(options.pgbouncer
        ? {}
        : {
            statement_timeout: options.statementTimeoutMs,
            lock_timeout: lockTimeoutMs,
            idle_in_transaction_session_timeout: idleInTransactionMs,
          }),
    },
    ...(ssl === undefined ? {} : { ssl: ssl === 'disable' ? false : ssl }),
  }
  if (url !== undefined) return postgres(url, { ...settings, ...address })
  const target = { host, port, user, password, database, ...address }
  const given = Object.fromEntries(Object.entries(target).filter(([, value]) => value !== undefined && value !== ''))
  return postgres({ ...settings, ...given })
}

/** The servers that are named, where they are several; of one the driver knows best. */
export function addressesOf({ url, host = '', port = 5432 }: Pick<DriverOptions, 'url' | 'host' | 'port'>): Address[] {
  const names = url === undefined ? host : (/^\w+:\/\/(?:[^@/]*@)?([^/?]*)/.exec(url)?.[1] ?? '')
  if (!names.includes(',')) return []
  return names.split(',').map((name) => {
    const [, host = name, own] = /^(.*?)(?::(\d+))?$/.exec(name.trim()) ?? []
    return { host, port: Number(own ?? port) }
  })
}

/** What the driver keeps of a query: once it has been sent, by what its connection is known to the server. */
interface OwnQuery {
  state: { pid: number; secret: number } | null
}

const cancelRequestCode = 80_877_102
const cancelTimeoutMs = 1_000

/**
 * Resolves when the server has taken note, or cannot: whoever cannot be asked to stop has stopped, or runs into the
 * statement timeout. Not by the driver: it leaves the failure of it to nobody, so a server that could not be reached would
 * end the process, and over TLS it never says that it is done. As libpq does, without TLS: a server takes it from anybody
 * who knows the secret, which is good for nothing else.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function cancelQuery(sql: postgres.Sql, query: Promise<unknown>): Promise<void> {
  const { state } = query as unknown as OwnQuery
  // A statement that waits for its connection must not be cancelled: the driver would lose the connection. It is one
  // that the caller left, so it runs to its end.
  if (state === null) return
  const request = Buffer.alloc(16)
  for (const [i, word] of [request.length, cancelRequestCode, state.pid, state.secret].entries()) {
    request.writeUInt32BE(word >>> 0, 4 * i)
  }
  const { path, host, port } = sql.options
  const socket = connect(path ? { path } : { host: host[0]!, port: port[0]! })
  socket.setTimeout(cancelTimeoutMs, () => socket.destroy())
  socket.on('error', () => {})
  socket.resume()
  socket.write(request)
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}

/** Does not settle when the connection is lost; `onLost` tells. */
export async function inTransaction<T>(client: Client, body: (sql: Sql) => Promise<T>): Promise<T> {
  const result = client.sql.begin(async (transaction) => {
    client.inTransaction = true
    const guarded = new Proxy(transaction, {
      apply(target, self, args) {
        if (client.isLost) throw Object.assign(new Error('connection lost'), { code: 'CONNECTION_CLOSED' })
        return Reflect.apply(target, self, args)
      },
    })
    try {
      return await body(guarded)
    } finally {
      // The driver would write its commit or rollback to a socket that is gone, outside of any promise.
      if (client.isLost) await new Promise(() => {})
    }
  })
  try {
    return (await result) as T
  } finally {
    client.inTransaction = false
  }
}

/** The limits that a session has otherwise. */
export async function limitTransaction(sql: Sql, statementTimeoutMs: number): Promise<void> {
  await sql`
    select set_config('statement_timeout', ${String(statementTimeoutMs)}, true),
           set_config('lock_timeout', ${String(lockTimeoutMs)}, true),
           set_config('idle_in_transaction_session_timeout', ${String(idleInTransactionMs)}, true)`
}
