/** io.net's answers in the manner of FastAPI: `data` when it went well, `detail` when it did not. */
import { jsonAnswer, type WholeAnswer } from './vendor.ts'

export const data = (value: unknown): WholeAnswer => jsonAnswer(200, { data: value })

export const detail = (status: number, value: unknown): WholeAnswer => jsonAnswer(status, { detail: value })

export const notFound = (what: string): WholeAnswer => detail(404, `${what} not found`)

export const conflict = (what: string): WholeAnswer => detail(409, what)

export const unprocessable = (loc: readonly string[], type: string, msg: string): WholeAnswer =>
  detail(422, [{ loc, msg, type }])

/** For faults. */
export function ionetError(status: number): WholeAnswer {
  return detail(status, details[status] ?? 'Internal Server Error')
}

const details: Record<number, string> = {
  400: 'Bad Request',
  401: 'Invalid API key',
  403: 'Not authenticated',
  404: 'Not Found',
  413: 'Request Entity Too Large',
  429: 'Too Many Requests',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}
