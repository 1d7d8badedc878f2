/**
 * `Idempotency-Key`: what a request with one brings about happens once, however often it is sent. A route is wrapped
 * where its body is read; a request without the header goes by untouched.
 */
import { canonical, sha256 } from '../domain/canonical.ts'
import type { IdempotencyKey } from '../domain/idempotency.ts'
import { ApiError } from '../errors.ts'
import type { KeyedExecutions, Replay } from '../services/idempotency.ts'
import { principalOf } from './authenticate.ts'
import { type FormBody, partsOf, type ReadForm } from './form-body.ts'
import type { JsonBody, ReadJson } from './json-body.ts'
import { createKeyedAnswer } from './keyed-answer.ts'
import { type AppContext, header, respond, routeOf } from './request-context.ts'

type Handler = (c: AppContext) => Promise<Response>

/**
 * What it answers, through `respond`, is kept and given again. An `ApiError` that it throws says that nothing came of the
 * request, and frees the key: where something may have come of it, it must answer. Any other error leaves that open.
 * It ends by `request.signal`, which outlasts the caller.
 */
type Handle<Body> = (c: AppContext, body: Body) => Promise<Response>

export interface Idempotent {
  optional<Body>(body: KeyedBody<Body>, handle: Handle<Body>): Handler
  /** 400 `idempotency_key_required` without the header. */
  required<Body>(body: KeyedBody<Body>, handle: Handle<Body>): Handler
}

/** How a body is read, and a text that is the same for bodies that mean the same. */
export interface KeyedBody<Body> {
  read(c: AppContext): Promise<Body>
  digest(body: Body): Promise<string>
}

export const keyedJson = (read: ReadJson): KeyedBody<JsonBody> => ({
  read,
  digest: ({ bytes, value, ambiguous }) => sha256((ambiguous ? undefined : canonical(value)) ?? bytes),
})

export const keyedForm = (read: ReadForm): KeyedBody<FormBody> => ({
  read,
  digest: async (form) => JSON.stringify(await Promise.all(partsOf(form).map(sha256))),
})

const name = 'idempotency-key'
const replayed = 'idempotent-replayed'
const printable = /^[\x20-\x7e]{1,255}$/

function idempotencyKey(c: AppContext): string | undefined {
  const key = header(c, name)
  if (key === undefined || printable.test(key)) return key
  throw new ApiError('invalid_header', {
    message: 'Idempotency-Key must be 1 to 255 printable ASCII characters.',
    param: 'Idempotency-Key',
  })
}

/** For routes whose key names what comes of it for ever, and which so need no stored answer. */
export function requiredKey(c: AppContext): string {
  const key = idempotencyKey(c)
  if (key === undefined) throw new ApiError('idempotency_key_required')
  return key
}

/** What the answer tells was done before. */
export function markReplayed(c: AppContext): void {
  c.get('request').headers[replayed] = 'true'
}

export function createIdempotent(executions: Pick<KeyedExecutions, 'begin'>): Idempotent {
  const answerOnce = createKeyedAnswer()

  async function keyed<Body>(c: AppContext, key: string, body: KeyedBody<Body>, handle: Handle<Body>) {
    const { accountId, limits } = principalOf(c)
    // What a key may not ask for it is not given either, by way of another key's answer.
    const { method, path } = c.req
    const allowed = limits.key.models && path.startsWith('/v1/') ? [limits.key.models.toSorted()] : []
    const value = await body.read(c)
    const digest = await sha256(JSON.stringify([method, routeOf(c), key]))
    const fingerprint = await sha256(JSON.stringify([method, path, await body.digest(value), ...allowed]))
    const request = c.get('request')
    const own: IdempotencyKey = { accountId, digest }
    const begun = await executions.begin(own, { requestId: request.id, fingerprint })
    return begun.kind === 'replay' ? replay(c, begun) : answerOnce(c, begun, () => handle(c, value))
  }

  return {
    optional(body, handle) {
      const plain = async (c: AppContext) => handle(c, await body.read(c))
      return (c) => {
        const key = idempotencyKey(c)
        return key === undefined ? plain(c) : keyed(c, key, body, handle)
      }
    },
    required: (body, handle) => async (c) => keyed(c, requiredKey(c), body, handle),
  }
}

function replay(c: AppContext, { answer, requestId }: Replay): Response {
  const request = c.get('request')
  request.log.outcome = 'replayed'
  // Of what a limit expected, nothing was used.
  request.tokensUsed = 0
  const headers = {
    ...answer.headers,
    [replayed]: 'true',
    'x-gpuproxy-original-request-id': requestId,
  }
  return respond(c, answer.status, headers, answer.body.length > 0 ? answer.body : null)
}
