import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeHttp, type Scripted } from '../../tests/support/fake-http.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { HttpFailure } from '../ports.ts'
import { createBackoff } from '../resilience/backoff.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createGuardedCall } from '../upstream/guarded-call.ts'
import type { UpstreamFailure } from '../upstream/outcome.ts'
import { createUpstream } from '../upstream/upstream.ts'
import type { InferenceEndpoint } from './endpoints.ts'
import { createOpenAiProvider, type InferenceCall, type WholeAnswer } from './openai.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const world = (...script: Scripted[]) => worldOf(['canary-key'], ...script)

function worldOf(apiKeys: string[], ...script: Scripted[]) {
  const rejected: string[] = []
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const random = () => 0.5
  const http = new FakeHttp(clock, ...script)
  const upstream = createUpstream({
    name: 'openai',
    clock,
    random,
    metrics,
    maxConcurrent: 10,
    retryBudgetRatio: 0.1,
    breaker: {},
    circuitName: () => 'openai:other',
    onTransition: () => {},
  })
  const backoff = createBackoff({ random })
  const provider = createOpenAiProvider({
    name: 'openai',
    baseUrl: 'https://api.test/v1',
    apiKeys,
    headers: {},
    onRejected: (position, of) => void rejected.push(`${position} of ${of}`),
    http,
    clock,
    metrics,
    upstream,
    guardedCall: createGuardedCall({ clock, metrics, backoff, maxAttempts: 3, maxHintWaitMs: 3_000 }),
  })
  const { signal } = new AbortController()
  const call: InferenceCall = {
    endpoint: 'chat/completions',
    model: 'm',
    payload: () => ({ bytes: encoder.encode('{"x":1}'), contentType: 'application/json' }),
    timeouts: { headersMs: 30_000, firstTokenMs: 10_000, idleMs: 15_000, lastSilenceMs: 120_000, totalMs: 600_000 },
    contextWindow: 128_000,
  }
  const attempt = { number: 1, last: false }
  return {
    clock,
    http,
    metrics,
    provider,
    rejected,
    complete: (endpoint = call.endpoint) =>
      provider.complete({ ...call, endpoint }).send(signal, attempt) as Promise<WholeAnswer>,
    stream: (last = false, endpoint = call.endpoint) =>
      provider.stream({ ...call, endpoint }).send(signal, { ...attempt, last }),
    models: () => provider.models(signal),
  }
}

const text = (body: string | Uint8Array) => (typeof body === 'string' ? body : decoder.decode(body))
const failureOf = async (answer: Promise<unknown>) => (await answer.catch((failure) => failure)) as UpstreamFailure
const completion = '{"id":"c","big":12345678901234567890,"choices":[{"message":{}}]}'

describe('an answer in one piece', () => {
  it('is passed on as it came', async () => {
    const { complete, http } = world({ body: completion, headers: { 'content-type': 'application/json' } })
    const { body, ...rest } = await complete()
    expect(rest).toEqual({ kind: 'whole', status: 200, contentType: 'application/json' })
    expect(text(body)).toBe(completion)
    expect(http.calls[0]).toMatchObject({
      method: 'POST',
      origin: 'https://api.test',
      path: '/v1/chat/completions',
      headers: { authorization: 'Bearer canary-key', 'accept-encoding': 'identity' },
    })
    expect(text(http.calls[0]!.body as Uint8Array)).toBe('{"x":1}')
  })

  it.each<[string, object, number | undefined]>([
    ['no usage', {}, 11],
    ['usage of nothing', { usage: { prompt_tokens: 0, completion_tokens: 0 } }, 11],
    ['usage in texts', { usage: { prompt_tokens: '3', completion_tokens: '9' } }, 11],
    ['usage', { usage: { prompt_tokens: 3, completion_tokens: 9 } }, undefined],
  ])('with %s: its output is counted by its length only where nobody else counts it', async (_, more, expected) => {
    const said = {
      role: 'assistant',
      content: 'a'.repeat(20),
      refusal: null,
      tool_calls: [{ id: 'x'.repeat(99), function: { name: 'f', arguments: 'b'.repeat(21) } }],
    }
    const { complete } = world({
      body: { id: 'c', choices: [{ index: 0, message: said, finish_reason: 'stop' }], ...more },
    })
    expect((await complete()).outputTokens).toBe(expected)
  })

  it('of responses tells how many tools the provider ran', async () => {
    const { complete } = world({ body: { output: [{ type: 'web_search_call' }, { type: 'function_call' }] } })
    expect((await complete('responses')).toolCalls).toBe(1)
  })

  it.each([400, 404, 409, 413, 422])('is also an error %i that is the caller’s own', async (status) => {
    const { complete } = world({ status, body: { error: { message: 'yours' } } })
    const { body, ...rest } = await complete()
    expect(rest).toMatchObject({ status, contentType: 'application/json' })
    expect(JSON.parse(text(body))).toEqual({ error: { message: 'yours' } })
  })

  it('keeps the type of an error that is no JSON', async () => {
    const { complete } = world({ status: 404, body: 'no such thing', headers: { 'content-type': 'text/plain' } })
    expect(await complete()).toMatchObject({ status: 404, contentType: 'text/plain' })
  })

  it.each<[string, Scripted, string]>([
    ['an error dressed as a 200', { body: { error: { message: 'canary' } } }, 'server'],
    ['no JSON', { body: '<html>canary' }, 'poison'],
    ['JSON that is no object', { body: ['canary'] }, 'poison'],
    ['nothing', { body: '' }, 'poison'],
    ['a redirect', { status: 302 }, 'poison'],
    ['a 500', { status: 500, body: 'canary' }, 'server'],
    ['a 401', { status: 401, body: { error: { message: 'canary' } } }, 'config'],
    ['a 429', { status: 429, body: { error: { code: 'rate_limit_exceeded' } } }, 'throttled'],
    ['a 429 for want of credit', { status: 429, body: { error: { code: 'insufficient_quota' } } }, 'quota'],
    ['a 429 for want of credit, by type', { status: 429, body: { error: { type: 'insufficient_quota' } } }, 'quota'],
    ['a cut', new HttpFailure('cut'), 'cut'],
  ])('%s is none', async (_name, scripted, failed) => {
    const failure = await failureOf(world(scripted).complete())
    expect(failure.class ?? (failure as unknown as HttpFailure).kind).toBe(failed)
    expect(failure.message).not.toContain('canary')
  })
})

describe('a success', () => {
  const choice = (message: unknown) => ({ choices: [{ index: 0, message, finish_reason: 'stop' }] })

  it.each<[InferenceEndpoint, object]>([
    ['chat/completions', {}],
    ['chat/completions', { foo: 1 }],
    ['chat/completions', { choices: null }],
    ['chat/completions', { choices: [] }],
    ['chat/completions', { choices: [null] }],
    ['chat/completions', choice(null)],
    ['completions', {}],
    ['completions', { choices: [{ index: 0, finish_reason: 'stop' }] }],
    ['embeddings', {}],
    ['responses', {}],
    ['moderations', { results: {} }],
    ['images/generations', { data: null }],
  ])('with nothing in it is nonsense: %s %j', async (endpoint, body) => {
    expect((await failureOf(world({ body }).complete(endpoint))).class).toBe('poison')
  })

  it.each<[InferenceEndpoint, object]>([
    ['chat/completions', choice({ role: 'assistant', content: '' })],
    ['chat/completions', choice({ role: 'assistant', content: null, refusal: 'no' })],
    ['chat/completions', choice({ role: 'assistant', content: null, reasoning_content: 'hm' })],
    ['chat/completions', choice({ role: 'assistant', tool_calls: [{ id: 'x', function: { name: 'f' } }] })],
    ['completions', { choices: [{ index: 0, text: '' }] }],
    ['embeddings', { data: [] }],
    ['responses', { status: 'incomplete', output: [], usage: { input_tokens: 1, output_tokens: 9 } }],
    ['moderations', { results: [{ flagged: false }] }],
    ['images/generations', { data: [{ url: 'x' }] }],
    ['audio/transcriptions', { text: '' }],
  ])('that says little is one all the same: %s %j', async (endpoint, body) => {
    expect((await world({ body }).complete(endpoint)).status).toBe(200)
  })
})

describe('a credential', () => {
  it.each(['complete', 'stream'] as const)(
    'that is refused is taken out, and the next one is used: %s',
    async (how) => {
      const { [how]: ask, http, rejected } = worldOf(['key-one', 'key-two'], { status: 401 }, { body: completion })
      expect(await failureOf(ask())).toMatchObject({ class: 'config', details: { otherCredential: true } })
      await ask().catch(() => {})
      expect(http.calls.map(({ headers }) => headers?.authorization)).toEqual(['Bearer key-one', 'Bearer key-two'])
      expect(rejected).toEqual(['1 of 2'])
    },
  )

  it('is not sent for where all are taken out, which is no answer of the provider’s', async () => {
    const { complete, http } = worldOf(['key-one'], { status: 401 })
    await complete().catch(() => {})
    expect(await failureOf(complete())).toMatchObject({ class: 'local', details: { reason: 'no_credential' } })
    expect(http.calls).toHaveLength(1)
  })

  it.each(['complete', 'stream'] as const)(
    'stays in use after a 402, which may be about one request: %s',
    async (how) => {
      const { [how]: ask, http, rejected } = worldOf(['key-one', 'key-two'], { status: 402 }, { body: completion })
      const failure = await failureOf(ask())
      expect([failure.class, failure.details]).toEqual(['config', { status: 402, retryAfterMs: undefined }])
      await ask().catch(() => {})
      expect(http.calls.map(({ headers }) => headers?.authorization)).toEqual(['Bearer key-one', 'Bearer key-one'])
      expect(rejected).toEqual([])
    },
  )
})

describe('an error that comes with a success', () => {
  const secret = 'canary-key-0123456'
  const judged = { code: 'content_policy_violation', message: 'no' }
  const asJson = { headers: { 'content-type': 'application/json' } }
  it.each(['complete', 'stream'] as const)('and is about the request is the answer: %s', async (how) => {
    const answer = await world({ body: { error: judged }, ...asJson })[how]()
    expect(answer).toMatchObject({ kind: 'whole', status: 400 })
    expect(JSON.parse(text((answer as WholeAnswer).body))).toEqual({ error: judged })
  })

  it.each(['complete', 'stream'] as const)(
    'and says that the prompt is too long is said to fit elsewhere: %s',
    async (how) => {
      const failure = await failureOf(world({ body: { error: { code: 'context_length_exceeded' } }, ...asJson })[how]())
      expect(failure.class).toBe('too_long')
    },
  )

  it('and quotes the credential is not passed on', async () => {
    const failure = await failureOf(
      worldOf([secret], { body: { error: { ...judged, message: secret } }, ...asJson }).complete(),
    )
    expect(failure.class).toBe('poison')
  })

  it.each(['complete', 'stream'] as const)(
    'and says that there is no such model may be served elsewhere: %s',
    async (how) => {
      const error = { code: 'model_not_found', type: 'invalid_request_error' }
      const inSuccess = await failureOf(world({ body: { error }, ...asJson })[how]())
      const in404 = await failureOf(world({ status: 404, body: { error }, ...asJson })[how]())
      for (const failure of [inSuccess, in404]) {
        expect(failure).toMatchObject({ class: 'unserved', details: { answer: { kind: 'whole', status: 404 } } })
      }
      const vllm = { status: 404, body: { error: { type: 'NotFoundError', code: 404 } }, ...asJson }
      expect((await failureOf(world(vllm)[how]())).class).toBe('unserved')
    },
  )

  const failed = (error: object) => ({ body: { object: 'response', status: 'failed', error, output: [] }, ...asJson })
  it('of a response that was given up for what was asked is in it', async () => {
    const { complete } = world(failed({ code: 'invalid_prompt', message: 'no' }))
    const { status, body } = await complete('responses')
    expect([status, JSON.parse(text(body))]).toEqual([200, failed({ code: 'invalid_prompt', message: 'no' }).body])
  })

  it.each<[string, object, string]>([
    ['that the provider has failed at', { code: 'server_error' }, 'server'],
    ['that quotes the credential', { code: 'invalid_prompt', message: secret }, 'poison'],
  ])('of a response %s is a failure', async (_, error, expected) => {
    const { complete } = worldOf([secret], failed(error))
    expect((await failureOf(complete('responses'))).class).toBe(expected)
  })
})

describe('an answer to a call for a stream', () => {
  it.each<[string, Scripted, string]>([
    ['an error of no type', { body: { error: {} } }, 'server'],
    [
      'JSON that tells of an error',
      { body: { error: { message: 'x' } }, headers: { 'content-type': 'application/json' } },
      'server',
    ],
    ['JSON in one piece', { body: completion, headers: { 'content-type': 'application/json' } }, 'poison'],
    ['a page', { body: '<html>', headers: { 'content-type': 'text/html' } }, 'poison'],
    ['a 503', { status: 503, body: 'x' }, 'server'],
    ['an endless error', { status: 400, chunks: Array(20).fill('x'.repeat(100_000)) }, 'oversized'],
  ])('that is %s is none, and its body is closed', async (_name, scripted, failed) => {
    const { stream, http } = world(scripted)
    const failure = await failureOf(stream())
    expect(failure.class).toBe(failed)
    expect(http.closedBodies).toBe(1)
  })

  it('may be an error of the caller’s own', async () => {
    const { stream } = world({ status: 400, body: { error: { message: 'yours' } } })
    expect(await stream()).toMatchObject({ kind: 'whole', status: 400 })
  })

  it('tells how long the first token took', async () => {
    const { stream, metrics, clock } = world({
      headers: { 'content-type': 'text/event-stream' },
      chunks: ['data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'],
      afterMs: 700,
    })
    const answer = stream()
    await clock.advance(700)
    expect(await answer).toMatchObject({ kind: 'stream' })
    expect(metrics.observed(instruments.timeToFirstToken, { provider: 'openai' })).toEqual([0.7])
  })

  it.each<[InferenceEndpoint, boolean, number, number]>([
    ['chat/completions', false, 30_000, 15_000],
    ['chat/completions', true, 30_000, 120_000],
    ['images/generations', false, 0, 600_000],
    ['audio/transcriptions', false, 0, 600_000],
    ['audio/speech', false, 30_000, 15_000],
  ])('is waited for by what it is: %s (last: %s)', async (endpoint, last, headersTimeoutMs, idleTimeoutMs) => {
    const { stream, http } = world({ status: 400 })
    await stream(last, endpoint)
    expect(http.calls[0]).toMatchObject({ headersTimeoutMs, idleTimeoutMs })
  })

  it('in bytes may begin as late as it would end', async () => {
    const { complete, http } = world({ status: 400 })
    await complete('audio/speech')
    expect(http.calls[0]).toMatchObject({ headersTimeoutMs: 0, idleTimeoutMs: 120_000 })
  })

  it('is waited for longer where no other target is left', async () => {
    const { stream, http } = world({ status: 400 })
    await stream()
    await stream(true)
    expect(http.calls.map(({ idleTimeoutMs }) => idleTimeoutMs)).toEqual([15_000, 120_000])
  })
})

describe('the models', () => {
  it('have one shape, whoever lists them', async () => {
    const { models } = world({
      body: {
        data: [{ id: 'gpt', created: 7, owned_by: 'openai', object: 'model' }, { model_id: 'llama' }, { id: 'bare' }],
      },
    })
    expect(await models()).toEqual([
      { object: 'model', id: 'gpt', created: 7, owned_by: 'openai' },
      { object: 'model', id: 'llama', created: 0, owned_by: 'io.net' },
      { object: 'model', id: 'bare', created: 0, owned_by: 'provider' },
    ])
  })

  it('lose a row that is odd, and no other', async () => {
    const { models } = world({ body: { data: [{ id: 1 }, null, 'x', { id: 'gpt' }] } })
    expect((await models()).map(({ id }) => id)).toEqual(['gpt'])
  })

  it.each<Scripted>([{ body: { models: [] } }, { body: 'text' }, { status: 404, body: { data: [] } }])(
    'cannot be read from %j',
    async (scripted) => {
      const { models, clock } = world(scripted)
      const failure = failureOf(models())
      await clock.advance(30_000)
      expect((await failure).class).toBe('poison')
    },
  )
})
