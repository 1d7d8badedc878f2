import { afterEach, describe, expect, test } from 'vitest'
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import type { Ports } from '../../src/ports.ts'
import { eventually, readSse, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { type SteppedProvider, startSteppedProvider } from '../support/stepped-provider.ts'

const accountId = '00000000-0000-7000-8000-000000000001'
let gateway: TestGateway
afterEach(() => gateway.close())

async function start(ports: Partial<Ports> = {}) {
  gateway = await startTestGateway({ ports })
  return gateway.ledger
}
const chat = (extra: object = {}, init: RequestInit = {}) =>
  gateway.post(
    '/v1/chat/completions',
    { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5, ...extra },
    init,
  )
const ended = (count: number) => eventually(() => gateway.ledger.ends.length >= count)

test('each request that a provider served is billed once, at what the provider says, under the id its caller was told', async () => {
  const ledger = await start()
  const before = gateway.books.of(accountId).available
  const whole = await chat()
  const { usage } = (await whole.json()) as { usage: { prompt_tokens: number; completion_tokens: number } }
  const streamed = await chat({ stream: true })
  await readSse(streamed)
  await ended(2)
  const cost = Math.ceil(usage.prompt_tokens * 2.5 + usage.completion_tokens * 10)
  expect(ledger.ends).toMatchObject([
    {
      event: 'settle',
      accountId,
      keyId: '00000000-0000-7000-8000-000000000002',
      operationId: whole.headers.get('x-request-id'),
      amount: cost,
      model: 'gpt-4o',
      inputTokens: usage.prompt_tokens,
      outputTokens: usage.completion_tokens,
      facts: { status: 200, streamed: false, provider: 'openai', source: 'provider' },
    },
    { operationId: streamed.headers.get('x-request-id'), amount: cost, facts: { status: 200, streamed: true } },
  ])
  expect(Number(whole.headers.get('x-gpuproxy-cost-usd'))).toBe(cost / 1e6)
  expect(gateway.books.of(accountId)).toMatchObject({ available: before - 2 * cost, held: 0 })
})

test('the receipt tells of every try and why it was made', async () => {
  await start()
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 503, times: 1 }])
  await (await chat()).text()
  await ended(1)
  expect(gateway.ledger.ends[0]?.facts?.tries).toMatchObject([
    { provider: 'openai', model: 'gpt-4o', outcome: 'server', reason: 'first choice' },
    { provider: 'openai', model: 'gpt-4o', outcome: 'ok', reason: 'again after server' },
  ])
})

test('a caller who leaves in the middle of a stream pays for what came, and it is said to be an estimate', async () => {
  const ledger = await start()
  const leave = new AbortController()
  const response = await chat({ stream: true, max_tokens: 100_000 }, { signal: leave.signal })
  await response.body!.getReader().read()
  leave.abort()
  await ended(1)
  const [end] = ledger.ends
  expect(end).toMatchObject({
    event: 'settle',
    facts: { status: 499, streamed: true, source: 'estimated' },
  })
  expect(end?.outputTokens).toBeGreaterThan(0)
  expect(end?.outputTokens).toBeLessThan(1_000)
})

test('what no provider was asked for is not in the books', async () => {
  const ledger = await start()
  await (await chat({ messages: 'none' })).text()
  await (await gateway.get('/v1/models')).text()
  await gateway.stop()
  expect(ledger.ends).toEqual([])
})

test('what a provider refused costs nothing, and its hold is released', async () => {
  const ledger = await start()
  const before = gateway.books.of(accountId).available
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 400 }])
  expect((await chat()).status).toBe(400)
  await ended(1)
  expect(ledger.ends).toMatchObject([{ event: 'release', amount: 0, facts: { status: 400, source: 'none' } }])
  expect(gateway.books.of(accountId)).toMatchObject({ available: before, held: 0 })
})

test('a journal that is full: nothing is served that could not be recorded, and reading goes on', async () => {
  await start({ journal: { ...createMemoryJournal(), full: true } })
  const refused = await chat()
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('5')
  expect(await refused.json()).toMatchObject({ error: { code: 'usage_unrecordable' } })
  expect((await gateway.get('/v1/models')).status).toBe(200)
})

describe('from providers that are told what to do', () => {
  let provider: SteppedProvider
  afterEach(() => provider.close())

  const price = (perMillion: number) => ({ input_per_million: perMillion, output_per_million: perMillion })

  async function startTwo() {
    provider = await startSteppedProvider()
    const at = (name: string) => ({ kind: 'openai', base_url: provider.baseUrl(name) })
    const soldAs = (first: number, second: number) => ({
      targets: [
        { provider: 'first', price: { ...price(first), per_million_characters: 1_000 } },
        { provider: 'second', price: price(second) },
      ],
    })
    gateway = await startTestGateway({
      routing: () => ({
        providers: { first: at('first'), second: at('second') },
        models: {
          cheaper: soldAs(1_000, 1),
          dearer: soldAs(1, 1_000),
          tooled: {
            targets: [
              { provider: 'first', price: price(1) },
              { provider: 'second', price: { ...price(1), per_tool_call: 0.001 } },
            ],
          },
        },
      }),
    })
    return gateway.ledger
  }
  /** Both tries of the first have come to nothing. */
  async function second() {
    for (let i = 0; i < 2; i++) (await provider.next()).answer(503)
    return provider.next()
  }
  async function theEnd() {
    await ended(1)
    return gateway.ledger.ends[0]!
  }

  test.each([
    ['cheaper', 1],
    ['dearer', 1_000],
  ])('a caller who leaves while the %s second works pays what that one takes', async (model, perToken) => {
    await startTwo()
    const leave = new AbortController()
    const left = chat({ model }, { signal: leave.signal }).catch(() => {})
    await second()
    leave.abort()
    await left
    const { amount, inputTokens, facts } = await theEnd()
    expect(amount).toBe(inputTokens * perToken)
    expect(facts).toMatchObject({ status: 499, provider: 'second', price: { inputPerMillion: perToken * 1e6 } })
  })

  test.each([
    ['cheaper', { type: 'invalid_request_error' }],
    ['cheaper', { code: 'context_length_exceeded' }],
  ])('what the %s second refuses is said to be its word, to the caller and in the books: %j', async (model, error) => {
    await startTwo()
    const response = chat({ model })
    ;(await second()).answer(400, {}, { error: { message: 'no', ...error } })
    expect((await response).headers.get('x-gpuproxy-provider')).toBe('second')
    expect((await response).status).toBe(400)
    expect(await theEnd()).toMatchObject({ event: 'release', amount: 0, facts: { provider: 'second' } })
  })

  const piece = (model: string, delta: object, finish_reason: string | null = null) => ({
    ...{ id: model, object: 'chat.completion.chunk', created: 1, model },
    choices: [{ index: 0, delta, finish_reason }],
  })
  /** The first breaks off after ten words. */
  async function broken() {
    const first = await provider.next()
    for (let i = 0; i < 10; i++) first.send(piece('a', { content: `w${i} ` }))
    first.cut()
    return provider.next()
  }

  test('one who goes on by saying something else sells nothing', async () => {
    await startTwo()
    const text = chat({ model: 'dearer', stream: true }).then((response) => response.text())
    const next = await broken()
    const usage = { prompt_tokens: 500, completion_tokens: 500, total_tokens: 1_000 }
    next.send({ ...piece('b', { content: 'w0 ' }), usage })
    next.send(piece('b', { content: 'else' }))
    expect(await text).toContain('stream_interrupted')
    const { amount, inputTokens, outputTokens, facts } = await theEnd()
    expect([amount, outputTokens]).toEqual([inputTokens + 10, 10])
    expect(facts).toMatchObject({ provider: 'first', price: { inputPerMillion: 1e6 } })
  })

  test('one who goes on with the answer sells it from its first word on', async () => {
    await startTwo()
    const text = chat({ model: 'dearer', stream: true }).then((response) => response.text())
    const next = await broken()
    for (let i = 0; i < 11; i++) next.send(piece('b', { content: `w${i} ` }))
    next.send(piece('b', {}, 'stop'))
    next.send({ id: 'b', choices: [], usage: { prompt_tokens: 5, completion_tokens: 11, total_tokens: 16 } })
    next.send('[DONE]')
    expect(await text).toContain('[DONE]')
    expect(await theEnd()).toMatchObject({ amount: 16_000, outputTokens: 11, facts: { provider: 'second' } })
  })

  test.each(['whole', 'streamed', 'broken off'])(
    'a tool that the provider runs is paid for by the call, where it has a price: an answer that is %s',
    async (how) => {
      await startTwo()
      const asked = { model: 'tooled', input: 'hi', stream: how !== 'whole', tools: [{ type: 'web_search' }] }
      const text = gateway.post('/v1/responses', asked).then((response) => response.text())
      const call = await provider.next()
      expect(call.name).toBe('second')
      const search = { type: 'web_search_call', action: { type: 'search' } }
      const response = { output: [search, { type: 'message' }], usage: { input_tokens: 7, output_tokens: 1 } }
      if (how === 'whole') call.answer(200, {}, response)
      else {
        call.send({ type: 'response.output_item.added', sequence_number: 0, item: search })
        call.send({ type: 'response.output_text.delta', sequence_number: 1, delta: 'x' })
        if (how === 'streamed') call.send({ type: 'response.completed', sequence_number: 2, response })
        call.cut()
      }
      await text
      const { amount, inputTokens, facts } = await theEnd()
      expect(amount).toBe(1_000 + inputTokens + 1)
      expect(facts).toMatchObject({ toolCalls: 1, price: { perToolCall: 1_000 } })
    },
  )

  test.each([
    ['breaks off', 0],
    ['is whole', 10_000],
  ])('speech in events that %s', async (how, amount) => {
    await startTwo()
    const spoken = { model: 'cheaper', input: 'x'.repeat(10), voice: 'alloy', stream: true, stream_format: 'sse' }
    const text = gateway.post('/v1/audio/speech', spoken).then((response) => response.text())
    const call = await provider.next()
    call.send({ type: 'speech.audio.delta', audio: 'AAAA' })
    if (how === 'is whole') call.send({ type: 'speech.audio.done' })
    call.cut()
    await text
    expect((await theEnd()).amount).toBe(amount)
  })

  test('a success with nothing in it is no answer: the next one is asked, and nobody is charged for it', async () => {
    await startTwo()
    const response = chat({ model: 'cheaper' })
    for (const name of ['first', 'first', 'second']) {
      const call = await provider.next()
      expect(call.name).toBe(name)
      call.answer(200, {}, { choices: [] })
    }
    expect((await response).status).toBe(502)
    expect(await (await response).json()).toMatchObject({ error: { code: 'upstream_invalid' } })
    expect(await theEnd()).toMatchObject({
      ...{ event: 'release', amount: 0 },
      facts: { tries: [{ outcome: 'poison' }, { outcome: 'poison' }, { outcome: 'poison' }] },
    })
  })
})
