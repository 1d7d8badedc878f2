/** What the reference says of one route. The tables beside this hold one for each route that the app has. */
import type * as z from 'zod'
import type { ErrorCode } from '../errors.ts'

export const sections = {
  Inference:
    'OpenAI’s own API: any of its SDKs works with the base URL changed. What keeps state at the provider (files, batches, assistants, stored responses) is a clear 404. Unknown fields of a body pass through.',
  'GPU market': 'One list of offers over every market, and machines by the hour.',
  Deployments: 'A model of your own on rented machines, behind `/v1`, for your account alone.',
  Accounts: 'Signing in and API keys. A key is shown once and stored only as a keyed hash.',
  Billing: 'Credit, payments, usage and guard rails. Amounts are decimal strings with a currency.',
  Receipts: 'What happened to a request and what it cost, and what would happen to one.',
  Administration: 'For administrators. Each change is logged with who made it.',
  Operation: 'Probes, metrics and this reference. None of them asks for an API key.',
} as const
export type SectionName = keyof typeof sections

/**
 * Who may call. `anyone`: no credential. `known`: any API key or access token. `session`: an access token alone.
 * `keys`: an access token, or an administrator’s key with the scope `admin`. The others are scopes of a key.
 */
export type Access = 'anyone' | 'known' | 'session' | 'keys' | 'inference' | 'gpu' | 'billing' | 'admin' | 'receipts'

export interface RouteDoc {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** As OpenAPI writes it: `/v1/models/{id}`. */
  path: string
  section: SectionName
  /** Unique, in camelCase: OpenAPI’s operationId, and the anchor on the page. */
  name: string
  summary: string
  about?: string
  access: Access
  /** Of the path and the query, where the glossary’s words do not fit here. */
  words?: Record<string, string>
  query?: z.ZodType
  body?: Body
  idempotencyKey?: 'required' | 'optional'
  answers: Record<number, Answer>
  /** Besides those that its access, its body and the like bring with them. */
  errors?: readonly ErrorCode[]
  /** Changes something: refused while the gateway is read only. */
  writes?: true
  /** Of requests, by name. */
  headers?: Record<string, string>
  examples: readonly [Example, ...Example[]] | NoExample
}

export type Body = { schema: z.ZodType; type?: 'multipart/form-data'; optional?: true }

/** One of the two says what the body is; neither: there is none. */
export interface Answer {
  about: string
  json?: z.ZodType
  /** Of other bodies. */
  types?: readonly string[]
  headers?: Record<string, string>
}

export interface NoExample {
  /** Why nobody calls it by hand. */
  none: string
}

/** A request as it is made, written out in each language. `$NAME` in a path or a body is an environment variable. */
export interface Example {
  title: string
  /** Of the path’s `{names}`: an environment variable that holds it, or a value. */
  params?: Record<string, string>
  query?: Record<string, string>
  body?: Record<string, unknown>
  headers?: Record<string, string>
  /** Needs an access token in place of a key. */
  token?: true
  /** @default whatever the route answers: JSON is shown, text printed, other bytes written to this file */
  file?: string
  /** Is shown as it comes. */
  stream?: true
  /** In place of what is written by rule. */
  code?: Partial<Record<Language, string>>
}

export const languages = { curl: 'curl', javascript: 'JavaScript', python: 'Python' } as const
export type Language = keyof typeof languages
