/** The one place where an error becomes a response: OpenAI's envelope under `/v1`, problem details elsewhere. */
import { ApiError, openAiError, problemDetails } from '../errors.ts'
import { type Log, StorageUnavailable } from '../ports.ts'
import { toApiError } from '../upstream/api-error.ts'
import { type AppContext, respond } from './request-context.ts'

export const createOnError = ({ log }: { log: Log }) =>
  function onError(thrown: unknown, c: AppContext): Response {
    const error = toApiError(thrown)
    if (error instanceof ApiError) return errorResponse(c, error)
    if (error instanceof StorageUnavailable) return errorResponse(c, storageUnavailable(error, c.req.method))
    // What was not foreseen may hold anything in its words: they go to the log, never to the caller.
    const { name, stack } = error instanceof Error ? error : new Error(String(error))
    log.error('unexpected error', { request_id: c.get('request').id, code: name, error: stack })
    return errorResponse(c, new ApiError('internal'))
  }

const storageUnavailable = (cause: StorageUnavailable, method: string) =>
  new ApiError('database_unavailable', {
    cause,
    retryAfterMs: 1_000,
    ...(method !== 'GET' && { message: mayNotBeDone }),
  })
const mayNotBeDone =
  'The gateway cannot reach its database at the moment, so this may not have been done. Look, or send the same again with the same Idempotency-Key where it has one.'

function errorResponse(c: AppContext, error: ApiError): Response {
  const request = c.get('request')
  request.log.code = error.code
  addErrorHeaders(error, request.headers)
  if (request.trace.attempts > 0) request.headers['x-gpuproxy-attempts'] = String(request.trace.attempts)
  if (c.req.path.startsWith('/v1/')) {
    return respond(c, error.status, { 'content-type': 'application/json' }, JSON.stringify(openAiError(error)))
  }
  return respond(
    c,
    error.status,
    { 'content-type': 'application/problem+json' },
    JSON.stringify(problemDetails(error, request.id)),
  )
}

export function addErrorHeaders({ options, shouldRetry }: ApiError, to: Record<string, string>) {
  const { retryAfterMs, headers } = options
  Object.assign(to, headers)
  if (retryAfterMs !== undefined) {
    to['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)))
    if (retryAfterMs <= 60_000) to['retry-after-ms'] = String(Math.ceil(retryAfterMs))
  }
  if (shouldRetry !== undefined) to['x-should-retry'] = String(shouldRetry)
}
