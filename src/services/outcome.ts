/** What came of an execution that its pod did not tell the end of: by the books, once they hold all that this pod noted. */
import type { Clock, LedgerStore, OutcomeOf } from '../ports.ts'
import type { Ledger } from './ledger.ts'

const waitMs = 5_000

export function createOutcomeOf(options: {
  clock: Clock
  ledger: Pick<Ledger, 'entered'>
  store: Pick<LedgerStore, 'stateOf'>
  podId: string
}): OutcomeOf {
  const { clock, ledger, store, podId: ownId } = options
  return async (accountId, requestId, podId = ownId) => {
    if (podId === ownId) await entered()
    const state = await store.stateOf(accountId, requestId)
    // Another pod's journal may hold what is not in the books.
    if (state === undefined) return podId === ownId ? 'none' : 'spent'
    return state === 'release' ? 'none' : 'spent'
  }

  async function entered() {
    const late = new AbortController()
    const cancel = clock.setTimer(waitMs, () => late.abort(new Error('the journal is not in the books yet')))
    await ledger.entered(late.signal).finally(cancel)
  }
}
