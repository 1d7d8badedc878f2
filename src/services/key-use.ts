/**
 * When each key was used last, gathered in memory and written once a minute in groups. It hears of a key when its
 * principal is looked up, every few seconds while it is in use, so requests themselves pay nothing.
 */
import type { Accounts, Clock, Log, KeyUse as Use, WriteMode } from '../ports.ts'

export interface KeyUse {
  note(key: { accountId: string; keyId: string }): void
  /** Writes what is there, and no more afterwards. */
  close(): Promise<void>
}

export interface KeyUseOptions {
  clock: Clock
  accounts: Pick<Accounts, 'recordKeyUse'>
  mode: Pick<WriteMode, 'readOnly'>
  log: Log
}

const intervalMs = 60_000
const groupSize = 500
/** One more is not noted: what it is for is to find keys that nobody uses. */
const maxKeys = 20_000

export function createKeyUse({ clock, accounts, mode, log }: KeyUseOptions): KeyUse {
  let used = new Map<string, Use>()
  let cancel: (() => void) | undefined
  let writing: Promise<void> | undefined
  let closed = false

  async function write() {
    const uses = [...used.values()]
    used = new Map()
    for (let at = 0; at < uses.length; at += groupSize) {
      if (mode.readOnly) return
      await accounts.recordKeyUse(uses.slice(at, at + groupSize))
    }
  }
  const flush = () => {
    cancel = undefined
    writing ??= write()
      // A time of last use that is lost is told anew by the next use.
      .catch((error: Error) => log.warn('times of last use were not written', { error: error.name }))
      .finally(() => {
        writing = undefined
        if (used.size > 0 && !closed) cancel ??= clock.setTimer(intervalMs, flush)
      })
    return writing
  }

  return {
    note({ accountId, keyId }) {
      if (closed || (used.size >= maxKeys && !used.has(keyId))) return
      used.set(keyId, { accountId, keyId, at: new Date(clock.wallNow()) })
      if (!writing) cancel ??= clock.setTimer(intervalMs, () => void flush())
    },
    async close() {
      closed = true
      cancel?.()
      await writing
      await flush()
    },
  }
}
