/**
 * The request target of `ANY /api/v1/gpu/instances/{id}/proxy/…` in two parts: what this gateway routes by, and what
 * belongs to the instance and goes on byte for byte, which no parser of URLs may have resolved before.
 */
export interface ProxiedTarget {
  /** `/api/v1/gpu/instances/{id}/proxy` */
  route: string
  /** Path and query at the instance; begins with `/`. */
  path: string
}

/** The prefix is taken in one spelling alone; an absolute target (RFC 9112, 3.2.2) says the same. */
const target = /^(?:https?:\/\/[^/?#]*)?(\/api\/v1\/gpu\/instances\/[^/?#%\\]+\/proxy)(?![^/?])(.*)$/s

/** Undefined: it is not for an instance. */
export function parseProxiedTarget(requestTarget: string): ProxiedTarget | undefined {
  const [, route, rest] = target.exec(requestTarget) ?? []
  if (route === undefined || rest === undefined) return undefined
  return { route, path: rest.startsWith('/') ? rest : `/${rest}` }
}
