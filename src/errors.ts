/**
 * Every error a caller can see, in one table. Code throws `ApiError('code', …)`; `on-error` alone turns it into a
 * response, in OpenAI's envelope under `/v1` and as RFC 9457 problem details elsewhere.
 */
interface ErrorKind {
  status: number
  /** OpenAI's error type. */
  type: 'invalid_request_error' | 'authentication_error' | 'permission_error' | 'rate_limit_error' | 'server_error'
  /** What happened and what to do, for a stranger to read. An `ApiError` may be more exact. */
  message: string
  /** Said where the error itself says nothing of it: SDKs try again after a 503. */
  shouldRetry?: boolean
}

const bad = 'invalid_request_error'
const server = 'server_error'

export const errorTable = {
  invalid_json: { status: 400, type: bad, message: 'The body is not valid JSON. Send one JSON object.' },
  invalid_body: { status: 400, type: bad, message: 'The body does not have the expected shape. GET /docs shows it.' },
  invalid_query: {
    status: 400,
    type: bad,
    message: 'A query parameter has a value that is not allowed. GET /docs shows which are.',
  },
  invalid_header: {
    status: 400,
    type: bad,
    message: 'A request header has a value that is not allowed. GET /docs shows which are.',
  },
  body_too_deep: { status: 400, type: bad, message: 'The JSON body is nested too deeply. Nest at most 64 levels.' },
  body_too_many_keys: { status: 400, type: bad, message: 'The JSON body has too many keys. Send at most 50,000.' },
  body_too_many_values: {
    status: 400,
    type: bad,
    message: 'The JSON body has too many values. Send at most 500,000, and 50,000 objects and lists.',
  },
  stored_state_unsupported: {
    status: 400,
    type: bad,
    message: 'This field refers to state kept at the provider, which this gateway does not offer. Leave it out.',
  },
  idempotency_key_required: {
    status: 400,
    type: bad,
    message: 'Send an Idempotency-Key: 1 to 255 printable ASCII characters, new for each thing that you want done.',
  },
  invalid_signature: {
    status: 400,
    type: bad,
    message: 'The signature is missing, too old, or not that of this body. Check the secret that both sides sign with.',
  },
  missing_credential: {
    status: 401,
    type: 'authentication_error',
    message: 'No API key. Send it as "Authorization: Bearer <key>" or as "X-API-Key: <key>".',
  },
  invalid_credential: {
    status: 401,
    type: 'authentication_error',
    message:
      'This API key or access token is not valid: unknown, expired or revoked. Check it, make a new key, or sign in again.',
  },
  payment_declined: {
    status: 402,
    type: bad,
    message: 'The payment was declined. Use another payment method and a new Idempotency-Key.',
  },
  insufficient_credit: {
    status: 402,
    type: bad,
    message: 'The account has too little credit for this. Add credit, or ask for less.',
  },
  budget_exceeded: {
    status: 402,
    type: bad,
    message: "The key's budget does not allow this. Use another key, or have its budget raised.",
  },
  guardrail_exceeded: {
    status: 402,
    type: bad,
    message: 'This would pass a guard rail of the account. Wait until it frees, or ask for less.',
  },
  sign_in_failed: {
    status: 401,
    type: 'authentication_error',
    message: 'The email or the password is wrong. Check both.',
  },
  invalid_refresh_token: {
    status: 401,
    type: 'authentication_error',
    message: 'This refresh token is not valid: unknown, expired, or used before. Sign in again.',
  },
  password_wrong: {
    status: 403,
    type: 'permission_error',
    message: 'That is not the password of this account. Check it.',
  },
  registration_closed: {
    status: 403,
    type: 'permission_error',
    message: 'Nobody can register here. Ask the operator for an account.',
  },
  model_not_allowed: {
    status: 403,
    type: 'permission_error',
    message: 'This API key may not use that model. Use another model, or a key that may.',
  },
  scope_missing: {
    status: 403,
    type: 'permission_error',
    message: 'This API key may not be used for that. Use a key with the scope that the operation needs.',
  },
  administrator_only: {
    status: 403,
    type: 'permission_error',
    message: 'Only administrators may do that. Use an API key of an administrator.',
  },
  faults_disabled: {
    status: 403,
    type: 'permission_error',
    message:
      'Faults may not be set here. The operator has to set FAULTS_ENABLED=true, in production FAULTS_IN_PRODUCTION=true too.',
  },
  unknown_breaker: {
    status: 404,
    type: bad,
    message: 'There is no circuit breaker of that name. GET /api/v1/admin/breakers lists what there is.',
  },
  receipt_not_found: {
    status: 404,
    type: bad,
    message: 'There is no receipt of that request. One is there about a second after its answer, and for thirty days.',
  },
  payment_not_found: { status: 404, type: bad, message: 'This account has no such payment. Check the id.' },
  offer_not_found: {
    status: 404,
    type: bad,
    message: 'There is no such offer, or it has gone. Search again: GET /api/v1/gpu/offers.',
  },
  instance_not_found: {
    status: 404,
    type: bad,
    message: 'This account has no such instance, or it is gone. GET /api/v1/gpu/instances lists what there is.',
  },
  reservation_not_found: { status: 404, type: bad, message: 'This account has no such reservation. Check the id.' },
  deployment_not_found: {
    status: 404,
    type: bad,
    message: 'This account has no such deployment, or it is gone. GET /api/v1/gpu/deployments lists what there is.',
  },
  preference_not_found: {
    status: 404,
    type: bad,
    message: 'This account has saved no preference of that name. GET /api/v1/gpu/preferences lists what there is.',
  },
  unknown_route: { status: 404, type: bad, message: 'There is no such route. Check the path.' },
  model_not_found: { status: 404, type: bad, message: 'There is no such model. GET /v1/models lists what there is.' },
  model_not_priced: {
    status: 404,
    type: bad,
    message: 'This model has no price for this kind of work, so it is not sold. GET /v1/models lists what there is.',
  },
  unsupported_endpoint: {
    status: 404,
    type: bad,
    message: 'This endpoint keeps state at the provider or is not offered by this gateway. GET /docs shows what is.',
  },
  unknown_api_key: {
    status: 404,
    type: bad,
    message: 'This account has no such API key, or it was revoked. GET /api/v1/auth/apikeys lists what there is.',
  },
  unknown_account: { status: 404, type: bad, message: 'There is no such account, or it was closed. Check the id.' },
  method_not_allowed: {
    status: 405,
    type: bad,
    message: 'This route does not take that method. See the Allow header.',
  },
  body_timeout: { status: 408, type: bad, message: 'The request body did not arrive in time. Send it again.' },
  idempotency_in_flight: {
    status: 409,
    type: bad,
    message: 'A request with this Idempotency-Key is being executed. Send it again after the time in Retry-After.',
  },
  idempotency_answer_too_large: {
    status: 409,
    type: bad,
    message:
      'A request with this Idempotency-Key was executed, and its answer is too large to be given again. Use a new key to ask anew.',
  },
  idempotency_outcome_lost: {
    status: 409,
    type: bad,
    message:
      'A request with this Idempotency-Key was executed, and its answer was lost. Use a new key to have it done once more.',
  },
  offer_gone: {
    status: 409,
    type: bad,
    message:
      'That offer has gone, and no other one fits within the price. Nothing was rented and nothing is charged. Search again: GET /api/v1/gpu/offers.',
  },
  not_enough_offers: {
    status: 409,
    type: bad,
    message:
      'There are not enough offers that fit. Nothing was rented and nothing is charged. Ask for fewer machines, allow a higher price or other machines, or try again later.',
  },
  bid_too_low: {
    status: 409,
    type: bad,
    message:
      'That offer takes no bid so low. Nothing was rented and nothing is charged. Bid more, or take another offer.',
  },
  market_refused: {
    status: 409,
    type: bad,
    message:
      'The market does not take this order. Nothing was rented and nothing is charged. Change the order, or take another offer.',
  },
  instance_not_running: {
    status: 409,
    type: bad,
    message: 'The instance is not running, or does not say yet where it is reached. Look at its status.',
  },
  instance_state: {
    status: 409,
    type: bad,
    message: 'The instance is not in a state in which that can be done. Look at its status.',
  },
  unsupported_by_market: {
    status: 409,
    type: bad,
    message: 'The market cannot do that. Ask without it, or take an offer of another market.',
  },
  deployment_name_taken: {
    status: 409,
    type: bad,
    message: 'This account has a deployment of that name. Give this one another name, or change that one.',
  },
  deployment_ending: { status: 409, type: bad, message: 'The deployment is ending. Make a new one.' },
  too_many_deployments: {
    status: 409,
    type: bad,
    message: 'This account has as many deployments as it may. End one that is not needed.',
  },
  too_many_preferences: {
    status: 409,
    type: bad,
    message: 'This account has saved as many preferences as it may. Delete one that is not needed.',
  },
  email_taken: { status: 409, type: bad, message: 'There is an account with this email. Sign in, or use another.' },
  own_account: {
    status: 409,
    type: bad,
    message: 'Administrators cannot disable themselves or take their own role. Ask another administrator.',
  },
  too_many_api_keys: {
    status: 409,
    type: bad,
    message: 'This account has as many API keys as it may. Revoke one that is not needed.',
  },
  body_too_large: {
    status: 413,
    type: bad,
    message: 'The body is too large. JSON bodies may hold 20 MB, forms 26 MB.',
  },
  unsupported_media_type: { status: 415, type: bad, message: 'Send the body as "Content-Type: application/json".' },
  unsupported_encoding: { status: 415, type: bad, message: 'Send the body without a Content-Encoding.' },
  idempotency_mismatch: {
    status: 422,
    type: bad,
    message: 'This Idempotency-Key was used with another request. Use a new key for each request.',
  },
  rate_limited: { status: 429, type: 'rate_limit_error', message: 'Too many requests for this API key. Slow down.' },
  too_many_sign_ins: {
    status: 429,
    type: 'rate_limit_error',
    message: 'Too many attempts to sign in. Try again after the time in Retry-After.',
  },
  upstream_throttled: {
    status: 429,
    type: 'rate_limit_error',
    message: 'The provider asks for fewer requests. Try again after the time in Retry-After.',
  },
  client_closed: { status: 499, type: bad, message: 'The client closed the connection.' },
  internal: {
    status: 500,
    type: server,
    message: 'Something went wrong in the gateway. Quote the request id to support.',
  },
  upstream_invalid: {
    status: 502,
    type: server,
    message: 'The provider answered with something that is not an answer. Try again later, or ask another one.',
  },
  stream_interrupted: {
    status: 502,
    type: server,
    message: 'The provider broke off in the middle of its answer. What came before is incomplete: ask again.',
  },
  instance_unreachable: {
    status: 502,
    type: server,
    message:
      'The instance cannot be reached at the address that its market published. Look at its status and its logs.',
  },
  upstream_credential: {
    status: 502,
    type: server,
    message: "The provider refused the gateway's own credential. The operator has to act.",
  },
  upstream_unavailable: {
    status: 503,
    type: server,
    message: 'The provider could not be reached or failed. Try again after the time in Retry-After.',
  },
  circuit_open: {
    status: 503,
    type: server,
    message: 'The provider has been failing and is not called for now. Try again after the time in Retry-After.',
  },
  overloaded: { status: 503, type: server, message: 'Too many requests are under way. Try again shortly.' },
  database_unavailable: {
    status: 503,
    type: server,
    message: 'The gateway cannot reach its database at the moment. Try again after the time in Retry-After.',
  },
  ledger_unavailable: {
    status: 503,
    type: server,
    message: "The account's credit cannot be looked up at the moment. Try again after the time in Retry-After.",
  },
  read_only: {
    status: 503,
    type: server,
    message:
      'Nothing can be changed at the moment; reading and inference go on. Try again after the time in Retry-After.',
  },
  idempotency_unavailable: {
    status: 503,
    type: server,
    message:
      'An Idempotency-Key cannot be kept at the moment, so the request was not executed. Try again after the time in Retry-After.',
  },
  usage_unrecordable: {
    status: 503,
    type: server,
    message:
      'What this request uses could not be recorded, so it is not served. Try again after the time in Retry-After.',
  },
  provider_not_configured: {
    status: 503,
    type: server,
    message: 'No provider is configured for this. The operator has to set its API key.',
    shouldRetry: false,
  },
  connect_timeout: {
    status: 504,
    type: server,
    message: 'No connection to the provider came about in time. Try again later.',
  },
  headers_timeout: {
    status: 504,
    type: server,
    message: 'The provider took the request and did not begin to answer. Try again later.',
  },
  first_token_timeout: {
    status: 504,
    type: server,
    message: 'The provider began no text in time. Try again later.',
  },
  stream_idle_timeout: {
    status: 504,
    type: server,
    message: 'The provider fell silent in the middle of its answer. What came before is incomplete: ask again.',
  },
  stream_too_slow: {
    status: 504,
    type: server,
    message: 'The provider answered too slowly to go on. What came before is incomplete: ask again.',
  },
  upstream_timeout: {
    status: 504,
    type: server,
    message: 'The provider did not answer in time. Try again later.',
  },
  not_cached: {
    status: 504,
    type: server,
    message: 'Only a stored answer was wanted, and there is none that may be used. Ask without only-if-cached.',
  },
  region_unreachable: {
    status: 503,
    type: server,
    message:
      'No region can be reached at the moment. Try again after the time in Retry-After; what was not a read may have been done: send it again with the same Idempotency-Key where it has one.',
  },
  stale_unusable: {
    status: 504,
    type: server,
    message: 'No region can be reached, and the stored answer must not be used without asking one. Try again shortly.',
  },
  deadline_exceeded: {
    status: 504,
    type: server,
    message: 'The time allowed for this request is over. Allow more of it, or ask for less.',
  },
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof errorTable

export interface ApiErrorOptions {
  /** Public words, where the table's are not exact enough. Never a secret, a prompt, a host name or a stack. */
  message?: string
  /** The body field or parameter at fault. */
  param?: string
  /** When asking again may help. */
  retryAfterMs?: number
  /** False where the gateway has already tried again for the caller. */
  shouldRetry?: boolean
  /** Response headers that belong to this error, as `Allow`. */
  headers?: Record<string, string>
  /** Further members of the problem details, and of OpenAI's envelope. */
  members?: Record<string, string | null>
  cause?: unknown
}

export class ApiError extends Error {
  override name = 'ApiError'
  readonly code: ErrorCode
  readonly status: number
  readonly type: ErrorKind['type']
  readonly options: ApiErrorOptions
  /** Whether asking again may help; undefined = nobody says. */
  readonly shouldRetry: boolean | undefined
  constructor(code: ErrorCode, options: ApiErrorOptions = {}) {
    super(options.message ?? errorTable[code].message, { cause: options.cause })
    this.code = code
    this.status = errorTable[code].status
    this.type = errorTable[code].type
    // RFC 9110, 15.5.2: some HTTP clients fail on a 401 that does not say by what it would be another answer.
    const headers = { 'www-authenticate': 'Bearer', ...options.headers }
    this.options = this.status === 401 ? { ...options, headers } : options
    this.shouldRetry = options.shouldRetry ?? (errorTable[code] as ErrorKind).shouldRetry
  }
}

/** OpenAI's error envelope. */
export const openAiError = ({ message, type, code, options }: ApiError) => ({
  error: { message, type, param: options.param ?? null, code, ...options.members },
})

/** RFC 9457. `type` is left out, which means "about:blank": the `code` is the stable name. */
export const problemDetails = ({ message, code, status, options }: ApiError, requestId: string) => ({
  title: code.replaceAll('_', ' '),
  status,
  detail: message,
  code,
  ...(options.param && { param: options.param }),
  ...options.members,
  request_id: requestId,
})
