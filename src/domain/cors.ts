/** For pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol). Credentials are headers, never cookies. */

export interface Cors {
  /** On every answer: which page may read it. Empty where none may. */
  headers(origin: string | undefined): Readonly<Record<string, string>>
  /** Beside those, in answer to a browser that asks what a page may send. */
  preflight(origin: string | undefined): Readonly<Record<string, string>>
}

const allowed = {
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
  // The SDKs send a dozen of their own. A star holds where no cookies are sent, and never for this one.
  'access-control-allow-headers': 'authorization, *',
  'access-control-max-age': '600',
}

/** @param origins Of the pages that may call. */
export function createCors(origins: readonly string[]): Cors {
  const known = new Set(origins)
  const isKnown = (origin: string | undefined) => origin !== undefined && known.has(origin)
  return {
    headers(origin) {
      if (known.size === 0) return {}
      if (!isKnown(origin)) return { vary: 'origin' }
      return { vary: 'origin', 'access-control-allow-origin': origin!, 'access-control-expose-headers': '*' }
    },
    preflight: (origin) => (isKnown(origin) ? allowed : {}),
  }
}

/** @param asked The header `Access-Control-Request-Method`. */
export const isPreflight = (method: string, asked: string | null | undefined): boolean =>
  method === 'OPTIONS' && asked != null
