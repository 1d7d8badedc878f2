/** The latest requests that this pod has answered, for operators: what the log says of them, and no more. */
export interface RecentRequest {
  request_id: string
  /** Of its end, in ms since 1970. */
  at: number
  method: string
  route: string
  status: number
  duration_ms: number
  account_id: string | undefined
  key_id: string | undefined
  provider: string | undefined
  attempts: number
  code: string | undefined
}

export interface RecentRequests {
  note(request: RecentRequest): void
  /** The newest first. `text` is looked for in ids, route, status, provider and code. */
  find(ask: { text: string; limit: number }): RecentRequest[]
}

const kept = 500

export function createRecentRequests(): RecentRequests {
  const ring: RecentRequest[] = []
  let next = 0
  return {
    note(request) {
      ring[next] = request
      next = (next + 1) % kept
    },
    find({ text, limit }) {
      const newest = [...ring.slice(next), ...ring.slice(0, next)].reverse()
      const wanted = text.trim().toLowerCase()
      const has = (request: RecentRequest) =>
        [request.request_id, request.route, String(request.status), request.account_id, request.key_id]
          .concat([request.provider, request.code])
          .some((value) => value?.toLowerCase().includes(wanted))
      return newest.filter((request) => wanted === '' || has(request)).slice(0, limit)
    },
  }
}
