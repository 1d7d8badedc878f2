/**
 * Everything that is held about an account, as one JSON document that is written as it is read: a page at a time, so
 * that neither memory nor a statement grows with it. What another part of the gateway holds is one more section.
 */
import { ApiError } from '../errors.ts'
import type { Clock } from '../ports.ts'

export type ExportSection =
  | { name: string; one(accountId: string): Promise<unknown> }
  /** Each page as soon as the one before is written. */
  | { name: string; pages(accountId: string): AsyncIterable<readonly unknown[]> }

export interface AccountExport {
  /**
   * The document, piece by piece. One that breaks off is no JSON: whoever reads it notices.
   * @throws ApiError `overloaded` where one is under way for that account, or too many for others
   */
  open(accountId: string): Promise<AsyncIterable<string>>
}

const maxAtOnce = 16
/** A reader that is slower than that is cut. */
const maxMs = 15 * 60_000

export function createAccountExport({
  clock,
  sections,
}: {
  clock: Clock
  sections: readonly ExportSection[]
}): AccountExport {
  const open = new Set<string>()

  async function* document(accountId: string) {
    yield `{"exported_at":${JSON.stringify(new Date(clock.wallNow()).toISOString())}`
    for (const section of sections) {
      yield `,\n${JSON.stringify(section.name)}:`
      if ('one' in section) {
        yield JSON.stringify((await section.one(accountId)) ?? null)
        continue
      }
      let before = '['
      for await (const page of section.pages(accountId)) {
        if (page.length === 0) continue
        yield before + page.map((item) => JSON.stringify(item)).join(',\n')
        before = ',\n'
      }
      yield before === '[' ? '[]' : ']'
    }
    yield '}\n'
  }

  /** The place is given back when it ends, when the reader leaves, and when it has taken too long. */
  async function* bounded(accountId: string, first: string, rest: AsyncGenerator<string>) {
    let late = false
    const cancel = clock.setTimer(maxMs, () => {
      late = true
      open.delete(accountId)
    })
    try {
      yield first
      for (let next = await rest.next(); !next.done; next = await rest.next()) {
        if (late) throw new ApiError('deadline_exceeded')
        yield next.value
      }
    } finally {
      cancel()
      if (!late) open.delete(accountId)
      await rest.return(undefined)
    }
  }

  return {
    async open(accountId) {
      if (open.has(accountId) || open.size >= maxAtOnce) throw new ApiError('overloaded', { retryAfterMs: 5_000 })
      open.add(accountId)
      try {
        const pieces = document(accountId)
        // Up to the end of the first section before there is a status: a database that is away is an error, no answer.
        let begun = ''
        for (let i = 0; i < 3; i++) begun += (await pieces.next()).value ?? ''
        return bounded(accountId, begun, pieces)
      } catch (error) {
        open.delete(accountId)
        throw error
      }
    },
  }
}
