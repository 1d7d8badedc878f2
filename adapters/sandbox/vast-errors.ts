/** Vast.ai's errors: each route has its own, and a 429 is plain text. */
import type { Wrong } from './vast-order.ts'
import { jsonAnswer, type WholeAnswer } from './vendor.ts'

/** Plain text and no Retry-After: a client has to know the limits by heart. */
export function tooFrequent(thresholdS: number): WholeAnswer {
  const body = `API requests too frequent: endpoint threshold=${thresholdS.toFixed(1)}`
  return { status: 429, headers: { 'content-type': 'text/plain; charset=utf-8' }, body }
}

export function invalidRequest(msg: string): WholeAnswer {
  return jsonAnswer(400, { success: false, error: 'invalid_request', msg })
}

export function invalidArgs({ error, msg }: Wrong, ask_id?: string): WholeAnswer {
  const ask = ask_id === undefined ? undefined : { ask_id: Number(ask_id) }
  return jsonAnswer(400, { success: false, error, msg: `error 400/3467: ${msg}`, ...ask })
}

export function noSuchAsk(id: string): WholeAnswer {
  const msg = `error 404/3603: no_such_ask Instance type by id ${id} is not available.`
  return jsonAnswer(404, { success: false, error: 'no_such_ask', msg, ask_id: Number(id) })
}

export function notFound(error: 'not_found' | 'no_such_instance'): WholeAnswer {
  return jsonAnswer(404, { success: false, error, msg: 'Instance not found' })
}

/** For faults. `code` names an error whatever its status is: `success` may be false in a 200. */
export function vastError(status: number, code?: string): WholeAnswer {
  if (status === 429 && code === undefined) return tooFrequent(6)
  const [error, msg] = (code !== undefined && byCode[code]) || byStatus[status] || ['server_error', `Error ${status}`]
  return jsonAnswer(status, { success: false, error, msg })
}

const byStatus: Record<number, [error: string, msg: string]> = {
  400: ['invalid_args', 'error 400/3467: Invalid arguments.'],
  401: ['auth_error', 'Invalid user key'],
  403: ['forbidden', 'Your key does not permit this operation.'],
  404: ['no_such_ask', 'error 404/3603: no_such_ask Instance type by id 0 is not available.'],
  410: ['no_such_ask', 'error 410/3907: no_such_ask'],
  413: ['invalid_request', 'The request body is too large.'],
}

/** Errors that their status alone does not tell. The first is documented nowhere. */
const byCode: Record<string, [error: string, msg: string]> = {
  insufficient_credit: ['insufficient_credit', 'Your account lacks credit; see the billing page.'],
  not_found: ['not_found', 'Instance not found'],
  rate_limit_exceeded: ['rate_limit_exceeded', 'API requests too frequent'],
  missing_billing: ['missing_billing', 'error 400: missing_billing'],
}
