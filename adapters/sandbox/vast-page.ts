/** Vast.ai's way through a long list: `limit`, `after_token`, `select_filters`. */
import { meets, wrongCondition } from './vast-search.ts'
import { isRecord } from './vendor.ts'

export interface Page<Row> {
  rows: Row[]
  /** On all pages together. */
  matching: Row[]
  nextToken: string | null
}

export function readPage<Row extends { id: number }>(
  rows: readonly Row[],
  query: URLSearchParams,
  { most, usual }: { most: number; usual: number },
): Page<Row> | { wrong: string } {
  const limit = Number(query.get('limit') ?? usual)
  if (!Number.isInteger(limit) || limit < 1 || limit > most) return { wrong: `limit: expected 1 to ${most}` }
  const filters = parse(query.get('select_filters') ?? '{}')
  if (!isRecord(filters)) return { wrong: 'select_filters: expected {field: {operator: value}}' }
  const wrong = Object.entries(filters)
    .map(([field, condition]) => wrongCondition(field, condition))
    .find(Boolean)
  if (wrong) return { wrong }
  const matching = rows.filter((row) =>
    Object.entries(filters).every(([field, condition]) =>
      meets((row as Record<string, unknown>)[field] ?? null, condition as object),
    ),
  )
  const token = query.get('after_token')
  const after = token === null ? -1 : matching.findIndex(({ id }) => id === readToken(token))
  if (token !== null && after < 0) return { wrong: 'after_token: no such token' }
  const page = matching.slice(after + 1, after + 1 + limit)
  const isLast = after + 1 + page.length >= matching.length
  return { rows: page, matching, nextToken: isLast ? null : tokenOf(page.at(-1)!.id) }
}

const tokenOf = (id: number) => Buffer.from(JSON.stringify({ values: { id } })).toString('base64')

function readToken(token: string): unknown {
  const read = parse(Buffer.from(token, 'base64').toString())
  return isRecord(read) && isRecord(read.values) ? read.values.id : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
