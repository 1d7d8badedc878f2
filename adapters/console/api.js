// Questions to the gateway, as any client asks them. The credential is in a cookie that this script cannot read.

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** Browsers have `randomUUID` where a page came over TLS or from this machine, and nowhere else. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16)).join('-')

export async function call(method, path, body, { signal, key = newKey() } = {}) {
  const response = await fetch(path, {
    method,
    signal,
    headers: {
      'x-gpuproxy-console': '1',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(method === 'POST' && { 'idempotency-key': key }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  // A proxy in front that cannot reach the gateway says so in its own words.
  const isJson = /^application\/(\w+\+)?json\b/.test(response.headers.get('content-type') ?? '')
  const json = isJson ? JSON.parse(text) : undefined
  if (response.ok && (isJson || text === '')) return json
  throw new ApiError(
    response.status,
    json?.code ?? json?.error?.code,
    json?.detail ?? json?.error?.message ?? `The gateway answered ${response.status}.`,
  )
}

export const get = (path, signal) => call('GET', path, undefined, { signal })

/** After these, and after no answer at all, nobody knows yet what came of the request. */
const open = [401, 403, 408, 409, 429]
const isFinal = ({ status }) => status >= 400 && status < 500 && !open.includes(status)

/** Orders that cost money: the same one bears the same key until its end is known, so that it is not paid for twice. */
export function orders(path) {
  const keys = new Map()
  return async (body) => {
    const order = JSON.stringify(body)
    const key = keys.get(order) ?? newKey()
    keys.set(order, key)
    try {
      const answer = await call('POST', path, body, { key })
      keys.delete(order)
      return answer
    } catch (error) {
      if (isFinal(error)) keys.delete(order)
      throw error
    }
  }
}

/** Server-sent events until the signal; tells when the connection comes and goes, and makes another. */
export async function follow(path, { signal, onData, onState }) {
  for (let wait = 1_000; !signal.aborted; wait = Math.min(wait * 2, 15_000)) {
    try {
      const response = await fetch(path, { signal, headers: { 'x-gpuproxy-console': '1' } })
      if (response.status === 401 || response.status === 403) return onState('refused')
      if (!response.ok) throw new Error(String(response.status))
      onState('live')
      let rest = ''
      // Not every browser can iterate over a stream.
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        wait = 1_000
        const parts = (rest + read.value).split('\n\n')
        rest = parts.pop()
        for (const part of parts) if (part.startsWith('data: ')) onData(JSON.parse(part.slice(6)))
      }
    } catch {
      if (signal.aborted) return
    }
    onState('away')
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}
