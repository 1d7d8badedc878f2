/** What a fake vendor is to the server that carries it: it reads a call and says an answer. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Answer } from './send.ts'

export interface Vendor {
  answer: (call: VendorCall) => Answer
  /** The vendor's own error body. `code` chooses among several errors that share a status. */
  error: (status: number, code?: string) => WholeAnswer
}

export interface VendorCall {
  method: string
  /** Path and query, as they were sent. */
  url: string
  /** Without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
  /** Parsed JSON; a form's fields; the text itself when it is neither; undefined when there is none. */
  body: unknown
}

export interface WholeAnswer extends Answer {
  body: string
}

export type Route = readonly [method: string, path: RegExp, handle: (call: VendorCall, captured: string) => Answer]

export function findRoute(routes: readonly Route[], call: VendorCall): (() => Answer) | undefined {
  for (const [method, path, handle] of routes) {
    const match = method === call.method && path.exec(call.path)
    if (match) return () => handle(call, match[1] ?? '')
  }
  return undefined
}

export function jsonAnswer(status: number, value: unknown, headers?: Record<string, string>): WholeAnswer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
