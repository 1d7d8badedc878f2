/** OpenAI's error envelope, and the errors that its statuses stand for. */
import { jsonAnswer, type WholeAnswer } from './vendor.ts'

interface OpenaiError {
  message: string
  type?: string
  param?: string
  code?: string
}

export function openaiError(status: number, error: OpenaiError): WholeAnswer {
  const { message, type = 'invalid_request_error', param = null, code = null } = error
  return jsonAnswer(status, { error: { message, type, param, code } })
}

/** For faults: what OpenAI says with a status when the request itself does not decide it. */
export function openaiErrorFor(status: number, code?: string): WholeAnswer {
  return openaiError(
    status,
    byCode[code ?? ''] ?? byStatus[status] ?? { message: `The request failed with status ${status}.` },
  )
}

const byStatus: Record<number, OpenaiError> = {
  400: { message: 'The request could not be understood.' },
  401: { message: 'Incorrect API key provided.', code: 'invalid_api_key' },
  403: { message: 'Your account may not use this resource.', code: 'unsupported_country_region_territory' },
  404: { message: 'The model does not exist or you do not have access to it.', code: 'model_not_found' },
  408: { message: 'The request took too long to arrive.', type: 'server_error', code: 'request_timeout' },
  413: { message: 'The request body is too large.' },
  429: { message: 'Rate limit reached on requests per min (RPM).', type: 'requests', code: 'rate_limit_exceeded' },
  500: { message: 'The server had an error while processing your request.', type: 'server_error' },
  502: { message: 'Bad gateway.', type: 'server_error' },
  503: { message: 'The engine is currently overloaded, please try again later.', type: 'server_error' },
  504: { message: 'Gateway timeout.', type: 'server_error' },
}

/** Errors that their status alone does not tell. */
const byCode: Record<string, OpenaiError> = {
  insufficient_quota: {
    message: 'You exceeded your current quota, please check your plan and billing details.',
    type: 'insufficient_quota',
    code: 'insufficient_quota',
  },
  credit_balance_exhausted: {
    message: 'Your credit balance is exhausted.',
    type: 'insufficient_quota',
    code: 'credit_balance_exhausted',
  },
  context_length_exceeded: {
    message: "This model's maximum context length is 8192 tokens. Please reduce the length of the messages.",
    param: 'messages',
    code: 'context_length_exceeded',
  },
  content_policy_violation: {
    message: 'Your request was rejected as a result of our safety system.',
    code: 'content_policy_violation',
  },
}
