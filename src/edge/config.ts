/** Every variable of the worker at the edge. `docs/edge.md` is checked against this table. */
import { integer, optional, originList, pageOrigins, required, secret, type Values, valuesOf } from '../variables.ts'

const origins = originList('https://host or http://host:port, several separated by commas, without a path')

export const edgeVariables = {
  ORIGINS: required(origins, 'http://localhost:8080', 'The gateways of the regions, in order of preference.'),
  JWT_SECRET: optional(secret(32), "The origins' own: access tokens are then checked here. Set it as a secret."),
  JWT_SECRET_PREVIOUS: optional(secret(32), 'The one before, while tokens that it signed are about.'),
  REVOKED_BEFORE: required(
    integer(0, 4_102_444_800),
    '0',
    'Access tokens that were issued before are refused: seconds since 1970.',
  ),
  CORS_ORIGINS: optional(pageOrigins, 'Pages that may call from a browser; unset: none.'),
  PURGE_TOKEN: optional(secret(20, 200), 'What `POST /edge/purge` wants as a bearer token; unset: nothing is purged.'),
  EDGE_RATE_LIMIT_PER_MINUTE: required(
    integer(1, 10_000_000),
    '6000',
    'Requests of one address, counted in each isolate by itself.',
  ),
} as const

export type EdgeConfig = Values<typeof edgeVariables>

/** @throws ConfigError at the first bad value. */
export const loadEdgeConfig = (env: Record<string, unknown>): EdgeConfig =>
  valuesOf(edgeVariables, (name) => (typeof env[name] === 'string' && env[name]) || undefined)
