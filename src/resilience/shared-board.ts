/**
 * A board over a store: beats about once a second, sends changes at once, and hears of others' by push. Lost messages
 * are made good by the next beat, for what travels is always a pod's whole column. Ages travel, not times: the clocks of
 * pods differ, and a store's may step.
 */
import type { BreakerState } from './circuit-breaker.ts'
import type { Clock } from './clock.ts'
import type { CircuitReport, FleetBoard, FleetListener, Word } from './fleet-board.ts'
import type { FleetStore, News, Push, StoredWord } from './fleet-store.ts'

export interface SharedBoardOptions {
  clock: Clock
  random: () => number
  /** Unique among the pods. */
  pod: string
  store: FleetStore
}

export interface SharedBoard extends FleetBoard {
  /** Says goodbye; the pod that cannot is missed a few seconds later. */
  close(): Promise<void>
}

/** Tells a new report from a former one of the same pod and circuit. */
type Stamped = CircuitReport & { stamp: number }
type Column = ReadonlyMap<string, Stamped>

const beatMs = 1_000
/** Changes that come together travel together. */
const gatherMs = 20
/** Nothing heard for so long, over two beats at least: a pod that was asleep has not lost the store. */
const awayMs = 3_000
const maxReports = 256
const maxWords = 1_000
const states: readonly BreakerState[] = ['closed', 'open', 'half_open', 'forced_open', 'forced_closed']
const nothing: Column = new Map()

export function createSharedBoard({ clock, random, pod, store }: SharedBoardOptions): SharedBoard {
  const own = new Map<string, Stamped>()
  let others = new Map<string, Column>()
  const words = new Map<string, StoredWord>()
  /** Not yet confirmed by the store. An operator's word given here holds here at once. */
  const unsaid = new Map<string, StoredWord>()
  /** As the listeners were last told, or have told. */
  const inForce = new Map<string, Word>()
  const listeners = new Set<FleetListener>()
  let pods = 1
  let seen = 0
  let stamp = 0
  let toldStamp = 0
  let heardAt = clock.now()
  let failures = 0
  let syncing = false
  let again = false
  let syncedAt = -Infinity
  let closed = false
  let stopTimer = () => {}

  function syncIn(ms: number) {
    stopTimer()
    if (!closed) stopTimer = clock.setTimer(ms, () => void sync())
  }

  /** While the store fails, changes wait for the next beat: its calls are not to be made more often for them. */
  function syncSoon() {
    if (syncing) again = true
    else if (failures === 0) syncIn(Math.max(gatherMs - (clock.now() - syncedAt), 0))
  }

  async function sync() {
    const said = stamp === toldStamp ? undefined : encode(own, clock.now())
    const upTo = stamp
    const sent = [...unsaid.values()]
    syncing = true
    again = false
    syncedAt = clock.now()
    try {
      const news = await store.sync({ pod, seen, said, words: sent })
      if (closed) return
      hearFromStore()
      if (said !== undefined) toldStamp = upTo
      for (const word of sent) if (unsaid.get(word.name) === word) unsaid.delete(word.name)
      take(news)
      for (const { name } of sent) putInForce(name)
    } catch {
      // The snapshot grows old; the next beat asks again.
      failures++
    }
    syncing = false
    if (again && failures === 0) syncSoon()
    else syncIn(beatMs * (0.8 + 0.4 * random()))
  }

  function hearFromStore() {
    heardAt = clock.now()
    failures = 0
  }

  function take({ pods: count, version, hasColumn, page }: News) {
    pods = Math.max(count, 1)
    if (!hasColumn && own.size > 0) {
      toldStamp = -1
      again = true
    }
    if (!page) return
    // Read before a push that has come first: it would undo it. A store that began anew is read again as well.
    if (version < seen) {
      seen = 0
      again = true
      return
    }
    seen = version
    const before = others
    const changed = new Set<string>()
    const texts = new Map(page.said.map((column) => [column.pod, column]))
    others = new Map()
    for (const each of page.pods) {
      if (each === pod) continue
      const column = texts.get(each)
      others.set(each, column ? renew(before.get(each), column.text, column.agoMs, changed) : nothing)
    }
    for (const [each, column] of before) if (others.get(each) !== column) note(column, others.get(each), changed)
    tellReports(changed)
    takeWords(page.words)
    // What the store has forgotten, or never heard of, it hears from whoever remembers.
    const stored = new Map(page.words.map((word) => [word.name, word.at]))
    for (const word of words.values()) {
      if (unsaid.has(word.name) || (stored.get(word.name) ?? -1) >= word.at) continue
      unsaid.set(word.name, word)
      again = true
    }
  }

  function renew(before: Column = nothing, text: string, agoMs: number, changed: Set<string>): Column {
    const column = new Map<string, Stamped>()
    for (const [circuit, report] of decode(text, clock.now() - agoMs)) {
      const known = before.get(circuit)
      column.set(circuit, known?.stamp === report.stamp ? known : report)
    }
    note(column, before, changed)
    return column
  }

  function note(column: Column, other: Column = nothing, changed: Set<string>) {
    for (const [circuit, report] of column) if (other.get(circuit) !== report) changed.add(circuit)
  }

  function tellReports(changed: ReadonlySet<string>) {
    if (changed.size > 0) for (const listener of listeners) listener.onReports?.(changed)
  }

  function takeWords(stored: readonly StoredWord[]) {
    for (const word of stored) {
      const { name } = word
      const known = words.get(name)
      if (known ? known.at >= word.at : words.size >= maxWords) continue
      words.set(name, word)
      putInForce(name)
    }
  }

  /** What was given here and is not confirmed yet goes before what others gave; what is only told again does not. */
  function putInForce(name: string) {
    const given = unsaid.get(name)
    const word = (given?.at === 0 ? given : words.get(name))?.word ?? 'auto'
    if (word === (inForce.get(name) ?? 'auto')) return
    keepInForce(name, word)
    for (const listener of listeners) listener.onWord?.(name, word)
  }

  function keepInForce(name: string, word: Word | 'auto') {
    if (word === 'auto') inForce.delete(name)
    else inForce.set(name, word)
  }

  function onPush(push: Push) {
    if (closed || push.version <= seen) return
    // With a version missing in between, the whole board is read at the next beat.
    if (push.version === seen + 1) seen = push.version
    if ('words' in push) return takeWords(push.words)
    if (push.pod === pod) return
    const changed = new Set<string>()
    const before = others.get(push.pod)
    const column = renew(before, push.text, 0, changed)
    note(before ?? nothing, column, changed)
    others.set(push.pod, column)
    tellReports(changed)
  }

  store.subscribe({ onPush, onGap: syncSoon })
  syncIn(0)

  return {
    pods: () => pods,
    reachable: () => failures < 2 || clock.now() - heardAt <= awayMs,
    *said(circuit) {
      for (const [each, column] of others) {
        const report = column.get(circuit)
        if (report) yield [each, report]
      }
    },
    others: () => others,
    tell(circuit, report) {
      if (report ? own.size >= maxReports && !own.has(circuit) : !own.has(circuit)) return
      stamp++
      if (report) own.set(circuit, { ...report, stamp })
      else own.delete(circuit)
      syncSoon()
    },
    async claim(what, ms) {
      try {
        const granted = await store.claim(what, pod, ms)
        hearFromStore()
        return granted ? 'granted' : 'held'
      } catch {
        return 'unknown'
      }
    },
    words: () => inForce,
    setWord(name, word) {
      keepInForce(name, word)
      unsaid.set(name, { name, word, at: 0 })
      syncSoon()
    },
    listen(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async close() {
      closed = true
      stopTimer()
      await store.leave(pod).catch(() => {})
    },
  }
}

type Told = [circuit: string, name: string, state: number, flags: number, agoMs: number, waitMs: number, stamp: number]
const ownFlag = 1
const trialsFlag = 2

function encode(column: Column, now: number): string {
  if (column.size === 0) return ''
  const told = [...column].map(([circuit, { name, state, own, byTrials, at, until, stamp }]): Told => {
    const flags = (own ? ownFlag : 0) + (byTrials ? trialsFlag : 0)
    return [circuit, name, states.indexOf(state), flags, Math.round(now - at), Math.round(until - now), stamp]
  })
  return JSON.stringify(told)
}

/** Another version of the program may have written it: what is not understood is left out. */
function* decode(text: string, now: number): Generator<[string, Stamped]> {
  let told: unknown
  try {
    told = JSON.parse(text || '[]')
  } catch {
    return
  }
  if (!Array.isArray(told)) return
  for (const item of told.slice(0, maxReports)) {
    if (!Array.isArray(item)) continue
    const [circuit, name, stateNumber, flags, agoMs, waitMs, stamp] = item as Told
    const state = states[stateNumber]
    if (typeof circuit !== 'string' || typeof name !== 'string' || !state) continue
    if (![flags, agoMs, waitMs, stamp].every(Number.isFinite)) continue
    const own = (flags & ownFlag) > 0
    const byTrials = (flags & trialsFlag) > 0
    yield [circuit, { name, state, own, byTrials, at: now - agoMs, until: now + waitMs, stamp }]
  }
}
