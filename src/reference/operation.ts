/** Probes, metrics, and the reference itself. */
import type { RouteDoc } from './route.ts'
import * as shapes from './shapes.ts'

const base = { section: 'Operation', access: 'anyone', method: 'GET' } as const
const health = {
  ...base,
  path: '/health',
  name: 'getHealth',
  summary: 'How the gateway and what it depends on are',
  about: 'From a snapshot that is at most a second old. 200 while the pod can serve.',
  answers: { 200: { about: 'Each dependency.', json: shapes.health } },
  examples: [{ title: 'Now' }],
} as const satisfies RouteDoc

export const operationRoutes: RouteDoc[] = [
  health,
  {
    ...health,
    path: '/api/v1/health',
    name: 'getHealthToo',
    summary: 'The same by another path',
    about: 'The same as `/health`.',
  },
  {
    ...base,
    path: '/livez',
    name: 'isAlive',
    summary: 'Liveness',
    about: 'Asks nobody: an outage elsewhere must not end pods.',
    answers: { 200: { about: 'Alive.', json: shapes.state } },
    examples: [{ title: 'Now' }],
  },
  {
    ...base,
    path: '/readyz',
    name: 'isReady',
    summary: 'Readiness',
    answers: {
      200: { about: 'Requests may come.', json: shapes.state },
      503: { about: 'Draining.', json: shapes.state },
    },
    examples: [{ title: 'Now' }],
  },
  {
    ...base,
    path: '/startupz',
    name: 'hasStarted',
    summary: 'Start-up',
    answers: { 200: { about: 'Started.', json: shapes.state } },
    examples: [{ title: 'Now' }],
  },
  {
    ...base,
    path: '/metrics',
    name: 'getMetrics',
    summary: 'Metrics for Prometheus',
    about: 'With `METRICS_TOKEN` set, only for those who send it as `Authorization: Bearer <token>`.',
    answers: { 200: { about: 'Prometheus text.', types: ['text/plain'] } },
    errors: ['missing_credential'],
    examples: [{ title: 'Now' }],
  },
  {
    ...base,
    path: '/openapi.json',
    name: 'getOpenApi',
    summary: 'This reference as an OpenAPI document',
    headers: { 'If-None-Match': 'The ETag of the document that one has.' },
    answers: {
      200: { about: 'OpenAPI 3.1.', json: shapes.openApi, headers: { ETag: 'Changes with the document.' } },
      304: { about: 'Not changed since.' },
    },
    examples: [{ title: 'The document' }],
  },
  {
    ...base,
    path: '/docs',
    name: 'getDocs',
    summary: 'This reference as a page',
    answers: { 200: { about: 'HTML that needs no script.', types: ['text/html'] } },
    examples: [{ title: 'The page' }],
  },
  {
    ...base,
    path: '/docs/{file}',
    name: 'getDocsFile',
    summary: 'The page’s style and icon',
    words: { file: '`style.css` or `icon.svg`.' },
    answers: { 200: { about: 'The file.', types: ['text/css', 'image/svg+xml'] } },
    errors: ['unknown_route'],
    examples: [{ title: 'The style', params: { file: 'style.css' } }],
  },
]
