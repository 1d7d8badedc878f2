/**
 * Answers given before, for callers who ask for that: the same account, endpoint and route, and the same body down to the
 * last field. The prompt is in no key, only its digest. What is kept is whole; a stream is replayed as the stream that it
 * was, and nothing is asked of a provider.
 */
import type { CacheResult } from '../cache/cache.ts'
import { accountKey, type CacheKey } from '../cache/keys.ts'
import type { Store } from '../cache/store.ts'
import { canonical, sha256 } from '../domain/canonical.ts'
import { ApiError } from '../errors.ts'
import type { ReplyBody } from '../ports.ts'
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import { questionOf } from '../routing/question.ts'
import { type Answered, type Inference, type InferenceRequest, refuseOtherModels } from './inference.ts'
import { createRecorder } from './recording.ts'
import type { Caller, Router } from './router.ts'
import { heartbeat } from './waits.ts'
import { isWholeAnswer, isWholeStream } from './whole-answer.ts'

/** What the caller's headers say. */
export interface CacheWish {
  accountId: string
  /** Older answers are not wanted, and this one is kept no longer. */
  maxAgeMs: number
  /** Also where the temperature leaves the answer to chance. */
  sampled: boolean
  /** False: the answer is made anew, and kept. */
  read: boolean
}

export interface KeptAnswer {
  /** Seen to again when it is read, beside the key. */
  accountId: string
  contentType: string
  provider: string
  model: string
  body: string
}

export interface AnsweredOrKept extends Answered {
  /** @default bypass */
  cache?: CacheResult
  /** Of a kept answer. */
  ageMs?: number
}

export interface Answers {
  /** `wish`: undefined = the caller did not ask for it. */
  infer(request: InferenceRequest, wish: CacheWish | undefined): Promise<AnsweredOrKept>
}

export interface AnswersOptions {
  inference: Inference
  router: Pick<Router, 'table' | 'rowsFor'>
  store: Store<KeptAnswer, 'account'>
}

/** The endpoints whose answers are kept: those that say the same when asked the same, as far as a model can. */
const isSampled: Partial<Record<InferenceEndpoint, boolean>> = {
  'chat/completions': true,
  completions: true,
  embeddings: false,
  moderations: false,
}
/** Of one answer; what is longer is not kept. */
const maxChars = 256 * 1024
/** Of all streams being kept at the same time. */
const maxRecordedChars = 32 * 1024 * 1024
const decoder = new TextDecoder('utf-8', { fatal: true })

export function createAnswers({ inference, router, store }: AnswersOptions): Answers {
  const recorder = createRecorder({ max: maxChars, maxTogether: maxRecordedChars })

  /** Undefined: not an answer to be kept. */
  async function keyOf(request: InferenceRequest, wish: CacheWish): Promise<CacheKey<'account'> | undefined> {
    const { endpoint, body, stream, wantsUsage } = request
    const chance = isSampled[endpoint]
    if (chance === undefined || body.ambiguous) return undefined
    if (chance && !wish.sampled && body.value.temperature !== 0) return undefined
    const { stream: _, stream_options: streamOptions, ...asked } = body.value
    const options = stream && { ...(streamOptions as object | null | undefined), include_usage: wantsUsage }
    const text = canonical({ ...asked, stream_options: options })
    const route = routeOf(router, body.value, { accountId: wish.accountId, allowedModels: request.allowedModels })
    if (text === undefined || route === undefined) return undefined
    const digest = await sha256(JSON.stringify([wish.accountId, endpoint, route, stream, text]))
    return accountKey(wish, endpoint, digest)
  }

  function keep(key: CacheKey<'account'>, wish: CacheWish, { contentType, provider, model }: Answered, body: string) {
    const kept = { accountId: wish.accountId, contentType, provider, model, body }
    void store.put(key, kept, wish.maxAgeMs)
  }

  /** The stream as it goes by, and at its end kept whole or not at all. */
  async function* recording(body: AsyncIterable<string | Uint8Array>, onWhole: (text: string) => void) {
    const recording = recorder.begin()
    try {
      for await (const piece of body) {
        if (piece !== heartbeat) recording.add(piece)
        yield piece
      }
      const text = recording.text()
      if (text !== undefined && isWholeStream(text)) onWhole(text)
    } finally {
      recording.close()
    }
  }

  async function inferOrFind(request: InferenceRequest, wish: CacheWish): Promise<AnsweredOrKept> {
    const key = await keyOf(request, wish)
    if (!key) return inference.infer(request)
    const found = wish.read ? await store.find(key, wish.maxAgeMs) : undefined
    if (found && found.value.accountId === wish.accountId) {
      const { contentType, provider, model, body } = found.value
      const replayed: ReplyBody = request.stream ? replay(body) : body
      const told = { status: 200, contentType, provider, model, cost: 0, body: replayed }
      return { ...told, cache: found.result, ageMs: found.ageMs }
    }
    const answered = await inference.infer(request)
    const cache = wish.read ? 'miss' : 'bypass'
    const { status, body } = answered
    if (status !== 200 || body === null) return { ...answered, cache }
    if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
      // Another provider has gone on with it: an answer of two voices is good enough once.
      const onWhole = (text: string) => request.log.rescued === undefined && keep(key, wish, answered, text)
      return { ...answered, cache, body: recording(body, onWhole) }
    }
    const text = textOf(body)
    if (text !== undefined && isWholeAnswer(request.endpoint, text)) keep(key, wish, answered, text)
    return { ...answered, cache }
  }

  return {
    infer(request, wish) {
      // Before anything is found: another key of the account may have asked for what this one may not.
      refuseOtherModels(request)
      // Those who do not ask for it do not pay for it.
      return wish ? inferOrFind(request, wish) : inference.infer(request)
    },
  }
}

async function* replay(text: string) {
  yield text
}

/** Where the models that are asked for lead to: another routing table may send the same body to another model. */
function routeOf(router: AnswersOptions['router'], body: Record<string, unknown>, caller: Caller): string | undefined {
  const table = router.table()
  try {
    const { models } = questionOf(body)
    return JSON.stringify(
      models.map((asked) =>
        router
          .rowsFor(asked, caller)
          .flatMap(([name, { targets }]) =>
            targets.map(({ provider, model }) => [provider, table.providers.get(provider)?.baseUrl, model ?? name]),
          ),
      ),
    )
  } catch (error) {
    // Its words are the same further on, where the whole body is looked at.
    if (error instanceof ApiError) return undefined
    throw error
  }
}

function textOf(body: string | Uint8Array): string | undefined {
  if (body.length > maxChars) return undefined
  try {
    return typeof body === 'string' ? body : decoder.decode(body)
  } catch {
    return undefined // Bytes that are no text: not an answer that could be kept as one.
  }
}
