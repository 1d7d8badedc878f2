/**
 * Refuses a request for inference by its head, before anything of it is made, where admission would refuse it in the end:
 * for half of what that costs (decision 0089). Nothing else is answered here: who is not known, or asks for something out
 * of the ordinary, comes in.
 */
import { openAiError } from '../errors.ts'
import type { Admission } from './admission.ts'
import { addErrorHeaders } from './on-error.ts'
import type { Bindings, createRequestContext } from './request-context.ts'

export interface TurnAwayOptions {
  /** Of inference. */
  paths: ReadonlySet<string>
  admission: Pick<Admission, 'turnsAway' | 'turnAway' | 'level'>
  context: Pick<ReturnType<typeof createRequestContext>, 'turnedAway'>
  digest: (text: string) => string
  newId: () => string
  isDraining: () => boolean
}

/** A request's head, as the runtime has parsed it. */
export interface RequestHead {
  method?: string | undefined
  /** The request target. */
  url?: string | undefined
  headers: NonNullable<Bindings['headers']>
}

export interface Refusal {
  status: number
  headers: Record<string, string>
  body: string
}

export type TurnAway = (head: RequestHead) => Refusal | undefined

/** Headers that make an answer another one: what a page may read, how long one waits, who is served first. */
const unusual = ['origin', 'x-request-timeout-ms', 'x-gpuproxy-priority']

export const createTurnAway = ({ paths, admission, context, digest, newId, isDraining }: TurnAwayOptions): TurnAway =>
  function turnAway({ method, url = '', headers }) {
    if (!admission.turnsAway() || method !== 'POST' || !paths.has(url) || isDraining()) return undefined
    for (const name of unusual) if (headers[name] !== undefined) return undefined
    const credential = bearerOf(headers)
    const turnedAway = credential === undefined ? undefined : admission.turnAway(digest(credential))
    if (!turnedAway) return undefined
    const { error, principal } = turnedAway
    const { status, code } = error
    const [id, callerId] = [newId(), headers['x-request-id']]
    context.turnedAway({
      ...{ id, method, route: url, status, principal },
      callerId: typeof callerId === 'string' ? callerId : undefined,
      log: { code },
    })
    const answer: Record<string, string> = { 'x-request-id': id, 'content-type': 'application/json' }
    addErrorHeaders(error, answer)
    const level = admission.level()
    if (level > 0) answer['x-gpuproxy-brownout'] = String(level)
    return { status, headers: answer, body: JSON.stringify(openAiError(error)) }
  }

/** As the SDKs send it. Whoever sends it otherwise comes in. */
function bearerOf({ authorization, 'x-api-key': key }: RequestHead['headers']): string | undefined {
  if (typeof authorization === 'string') return authorization.startsWith('Bearer ') ? authorization.slice(7) : undefined
  return typeof key === 'string' ? key : undefined
}
