/**
 * Rows F10 to F12 of the fault matrix: the primary killed and replaced, its pool exhausted and its processes frozen, its
 * replica late. Ten good seconds, the fault, and good ones again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { connectPools } from '../../adapters/node/postgres/pools.ts'
import type { Storage } from '../../adapters/node/storage.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { instruments } from '../../src/telemetry/instruments.ts'
import { atLeast, atMost, told } from '../bars.ts'
import { percentile } from '../statistics.ts'
import { between, type Kind, ofKind, othersOf, p99, type Sent, shareOf, startLoad } from './load.ts'
import type { Bar, GamedayRow } from './row.ts'
import { chats, inSetting, reads, streams } from './setting.ts'

const goodMs = 10_000
const whole = ({ whole }: Sent) => whole
const percent = (share: number) => share * 100
const lag = (sent: readonly Sent[]) =>
  told(
    'generator late by',
    `p99 ${percentile(
      sent.map(({ lagMs }) => lagMs).sort((a, b) => a - b),
      99,
    ).toFixed(1)} ms`,
  )

async function primaryLost(say: (line: string) => void): Promise<Bar[]> {
  const killAt = goodMs
  const promoteAt = killAt + 10_000
  const seconds = (promoteAt + 30_000) / 1000
  return inSetting({ size: 1 }, async (setting) => {
    const { servers } = setting
    const spend: Kind = { name: 'spend', perSecond: 10, method: 'POST', path: '/api/v1/gpu/instances', body: '{}' }
    const kinds = [
      chats(100),
      streams(5),
      reads('models', '/v1/models', 10),
      reads('offers', '/api/v1/gpu/offers?limit=5', 10),
      spend,
    ]
    const load = await startLoad(setting.urls(), kinds, seconds)
    say(`${seconds} s of load; all is well`)
    await sleep(killAt - load.now())
    const killedAt = load.now()
    await servers.primary.kill()
    say('primary killed')
    await sleep(promoteAt - load.now())
    await servers.promote()
    const promotedAt = load.now()
    say('standby promoted')
    const sent = await load.done

    const served = ofKind(sent, 'chat', 'stream', 'models', 'offers')
    const outage = between(sent, killedAt, promotedAt)
    const spends = ofKind(outage, 'spend')
    const isRefusal = ({ status, code }: Sent) => status === 503 && code === 'read_only'
    const refusals = ofKind(sent, 'spend').filter(isRefusal)
    const firstRefusal = Math.min(...refusals.map(({ at }) => at))
    const lastRefusal = Math.max(...refusals.map(({ at }) => at))
    // What is let through to the route is told there that it lacks its key: nothing is rented here.
    const isLetThrough = (one: Sent) => one.kind === 'spend' && one.code === 'idempotency_key_required'
    const isKnown = (one: Sent) => one.whole || isRefusal(one) || isLetThrough(one)
    return [
      atLeast('success: a right answer or the documented refusal', 100, percent(shareOf(sent, isKnown)), ' %'),
      atLeast(
        'inference and cached reads in the outage, answered',
        100,
        percent(shareOf(ofKind(outage, 'chat', 'models', 'offers'), whole)),
        ' %',
      ),
      atLeast(
        'streams running or begun in the outage, whole',
        100,
        percent(shareOf(ofKind(between(sent, killedAt - 3_000, promotedAt), 'stream'), whole)),
        ' %',
      ),
      atLeast('all that is served, whole run', 100, percent(shareOf(served, whole)), ' %'),
      atMost('read-only after the kill', 1_000, Math.max(0, firstRefusal - killedAt), ' ms'),
      atLeast(
        'spends from then on refused with 503',
        100,
        percent(
          shareOf(
            spends.filter(({ at }) => at >= firstRefusal),
            isRefusal,
          ),
        ),
        ' %',
      ),
      atMost('a refusal takes at most', 300, Math.max(...refusals.map(({ ms }) => ms)), ' ms'),
      atMost('writing is back after the promotion', 5_000, Math.max(0, lastRefusal - promotedAt), ' ms'),
      ...(await setting.ledgerBars(load.history, { of: 'standby' })),
      told('requests', `${sent.length}, ${refusals.length} spends refused; not whole: ${othersOf(served)}`),
      told(
        'p99 good / outage / after',
        [between(served, 0, killedAt), between(served, killedAt, promotedAt), between(served, promotedAt, Infinity)]
          .map((part) => `${p99(ofKind(part, 'chat')).toFixed(1)} ms`)
          .join(' / '),
      ),
      lag(sent),
    ]
  })
}

async function poolExhausted(say: (line: string) => void): Promise<Bar[]> {
  const [slowAt, frozenAt, wellAt] = [goodMs, goodMs + 10_000, goodMs + 20_000]
  const seconds = (wellAt + 20_000) / 1000
  const max = 12
  return inSetting({ size: 1, env: { DB_MAX_CONNS: String(max) } }, async (setting) => {
    const { servers } = setting
    const { storage } = await setting.openStorage()
    // Each key is looked up anew every two seconds: fifty look-ups a second.
    const keys = await setting.makeKeys(storage, 100)
    const pools = await connectPools({ ...servers.primary.connection, clock, max, min: max })
    const kinds = [{ ...chats(150), key: (nth: number) => keys[nth % keys.length] ?? '' }]
    const load = await startLoad(setting.urls(), kinds, seconds)
    say(`${seconds} s of load; all is well`)
    await sleep(slowAt - load.now())

    say('8 slow queries in a pool of 12, and the ledger locked')
    const unlock = Promise.withResolvers<void>()
    const locked = servers.primary.sql.begin(async (sql) => {
      await sql`lock table ledger_entries in access exclusive mode`
      await unlock.promise
    })
    const leave = new AbortController()
    const slow = Array.from({ length: 8 }, () =>
      keepBusy(() => pools.general.query('slow', leave.signal, (sql) => sql`select pg_sleep(2)`), leave.signal),
    )
    const fast: number[] = []
    for (let due = slowAt + 500; due < frozenAt - 500; due += 20) {
      await sleep(Math.max(0, due - load.now()))
      const since = performance.now()
      await pools.authentication.query('fast', undefined, (sql) => sql`select 1`)
      fast.push(performance.now() - since)
    }
    leave.abort()
    unlock.resolve()
    await Promise.all([locked, ...slow])

    await sleep(frozenAt - load.now())
    say('every process of the primary stands still')
    await servers.primary.freeze()
    await sleep(wellAt - load.now())
    await servers.primary.thaw()
    say('it goes on')
    const sent = await load.done
    await pools.close({ timeoutS: 1 })

    const good = p99(between(sent, 0, slowAt))
    const isKnown = (one: Sent) => one.whole || (one.status === 503 && one.code !== 'cut')
    const [slowPart, frozenPart] = [between(sent, slowAt, frozenAt), between(sent, frozenAt, wellAt)]
    return [
      atLeast('success: a right answer or the documented refusal', 100, percent(shareOf(sent, isKnown)), ' %'),
      atLeast('answered beside slow queries', 95, percent(shareOf(slowPart, whole)), ' %'),
      atLeast('answered while the database is frozen', 95, percent(shareOf(frozenPart, whole)), ' %'),
      atMost('added p99 beside slow queries', 250, p99(slowPart) - good, ' ms'),
      atMost('added p99 while the database is frozen', 250, p99(frozenPart) - good, ' ms'),
      atMost(
        'p99 of a fast query beside 8 slow ones',
        50,
        percentile(
          fast.sort((a, b) => a - b),
          99,
        ),
        ' ms',
      ),
      atLeast('answered after the fault', 100, percent(shareOf(between(sent, wellAt + 5_000, Infinity), whole)), ' %'),
      ...(await setting.ledgerBars(load.history)),
      told('requests', `${sent.length}, not whole: ${othersOf(sent)}; ${fast.length} fast queries`),
      told(
        'p99 good / slow / frozen / after',
        [between(sent, 0, slowAt), slowPart, frozenPart, between(sent, wellAt, Infinity)]
          .map((part) => `${p99(part).toFixed(1)} ms`)
          .join(' / '),
      ),
      lag(sent),
    ]
  })
}

/** Asks again and again until it is told to leave. */
async function keepBusy(ask: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  // The pool refuses one of the eight where it has seven places: it is the queue that is being filled.
  while (!signal.aborted) await ask().catch(() => {})
}

async function replicaLate(say: (line: string) => void): Promise<Bar[]> {
  const phases = [
    { lagMs: 2_000, from: goodMs, to: goodMs + 13_000 },
    { lagMs: 30_000, from: goodMs + 13_000, to: goodMs + 28_000 },
  ] as const
  const wellAt = phases[1].to
  const seconds = (wellAt + 15_000) / 1000
  return inSetting({ size: 1 }, async (setting) => {
    const { servers } = setting
    const { storage, metrics } = await setting.openStorage()
    const load = await startLoad(setting.urls(), [chats(100)], seconds)
    const stop = new AbortController()
    const owners = await startOwners(storage, { signal: stop.signal, now: load.now })
    const revoked: Revoked[] = []
    say(`${seconds} s of load and of accounts that read what they wrote; the replica is on time`)
    for (const { lagMs, from, to } of phases) {
      await sleep(from - load.now())
      await servers.delayStandby(lagMs)
      say(`the replica is ${lagMs / 1000} s late`)
      while (load.now() < to - 1_000) {
        revoked.push(await revokeOne(setting.urls()[0]!, storage))
        await sleep(1_000)
      }
    }
    await sleep(wellAt - load.now())
    await servers.delayStandby(0)
    say('the replica is on time again')
    const accepted = (await Promise.all(revoked.map(({ acceptedLate }) => acceptedLate))).filter(Boolean).length
    const sent = await load.done
    stop.abort()
    const owned = await owners.done

    const good = p99(between(sent, 0, goodMs))
    const bars = phases.flatMap(({ lagMs, from, to }) => {
      const part = owned.filter(({ at }) => at >= from + 500 && at < to)
      const stale = part.filter(({ right }) => !right).length
      return [
        atLeast(`reads of own writes, ${lagMs / 1000} s late`, 1_000, part.length),
        atMost(`of them stale`, 0, stale),
        atMost(`added p99, ${lagMs / 1000} s late`, 10, p99(between(sent, from, to)) - good, ' ms'),
      ]
    })
    const byRole = (role: string) => metrics.observed(instruments.dbDuration, { role }).length
    return [
      atLeast('answered', 100, percent(shareOf(sent, whole)), ' %'),
      ...bars,
      atMost(`revoked keys accepted 5 s later, of ${revoked.length}`, 0, accepted),
      atMost(
        'revoked keys that the accounts port still knew',
        0,
        revoked.filter(({ stillKnown }) => stillKnown).length,
      ),
      ...(await setting.ledgerBars(load.history)),
      told('requests', `${sent.length}, not whole: ${othersOf(sent)}; ${owned.length} reads of own writes`),
      told(
        'statements of the accounts port',
        `${byRole('replica')} at the replica, ${byRole('general')} at the primary`,
      ),
      told(
        'p99 good / 2 s / 30 s / after',
        [
          [0, goodMs],
          [phases[0].from, phases[0].to],
          [phases[1].from, phases[1].to],
          [wellAt, Infinity],
        ]
          .map(([from = 0, to = 0]) => `${p99(between(sent, from, to)).toFixed(1)} ms`)
          .join(' / '),
      ),
      lag(sent),
    ]
  })
}

interface OwnRead {
  at: number
  right: boolean
}

/** Accounts that make a key, revoke the one before and list what they have, about a hundred times a second in all, and one at rest. */
async function startOwners({ accounts }: Storage, { signal, now }: { signal: AbortSignal; now: () => number }) {
  const key = { name: 'a key', scopes: ['inference'] as const }
  const all: OwnRead[] = []
  const own = async () => {
    const { accountId } = await accounts.createAccount({ name: 'an owner' })
    let previous = (await accounts.createApiKey(accountId, key)).id
    while (!signal.aborted) {
      const since = now()
      const { id } = await accounts.createApiKey(accountId, key)
      await accounts.revokeApiKey(accountId, previous)
      const ids = (await accounts.listApiKeys(accountId)).map((each) => each.id)
      all.push({ at: since, right: ids.length === 1 && ids[0] === id })
      previous = id
      await sleep(Math.max(0, 40 - (now() - since)))
    }
  }
  /** Written to before the load alone: a replica may answer. */
  const atRest = async () => {
    const { accountId } = await accounts.createAccount({ name: 'at rest' })
    await accounts.createApiKey(accountId, key)
    while (!signal.aborted) {
      const since = now()
      await accounts.listApiKeys(accountId)
      await sleep(Math.max(0, 50 - (now() - since)))
    }
  }
  const done = Promise.all([...Array.from({ length: 4 }, own), atRest()]).then(() => all)
  return { done }
}

interface Revoked {
  /** By the accounts port, just after. */
  stillKnown: boolean
  /** By the gateway, more than 5 s after. */
  acceptedLate: Promise<boolean>
}

async function revokeOne(url: string, { accounts }: Storage): Promise<Revoked> {
  const { accountId } = await accounts.createAccount({ name: 'somebody' })
  const { id, apiKey } = await accounts.createApiKey(accountId, { name: 'a key', scopes: ['inference'] })
  const ask = async () => {
    const headers = { authorization: `Bearer ${apiKey}` }
    const response = await fetch(`${url}/v1/models`, { headers })
    await response.arrayBuffer()
    return response.status
  }
  const before = await ask()
  if (before !== 200) throw new Error(`a new key is refused with ${before}`)
  await accounts.revokeApiKey(accountId, id)
  const stillKnown = (await accounts.findByApiKey(apiKey)) !== undefined
  return { stillKnown, acceptedLate: sleep(5_050).then(async () => (await ask()) !== 401) }
}

export const postgresRows: GamedayRow[] = [
  { id: 'F10', title: 'primary killed, standby promoted 10 s later', run: primaryLost },
  { id: 'F11', title: 'pool exhausted by slow queries, then the database frozen', run: poolExhausted },
  { id: 'F12', title: 'replica 2 s and 30 s late', run: replicaLate },
]
