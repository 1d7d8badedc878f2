/**
 * Callers who leave, at every piece of an answer. Delivered is what the gateway had handed to the caller's connection;
 * the provider sends a piece only when the one before has been read, so that there is exactly one right bill.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createMemoryBooks, type MemoryBooks } from '../../adapters/memory/books.ts'
import { eventually, startTestGateway, type TestGateway, testAccountId } from '../support/gateway.ts'
import { type SteppedCall, type SteppedProvider, startSteppedProvider } from '../support/stepped-provider.ts'

const pieces = 40
const rate = { input: 4, output: 10 }
const everyLength = Array.from({ length: pieces + 1 }, (_, k) => k)

let provider: SteppedProvider
let gateway: TestGateway
/** Shut: no credit is leased. */
let credit: (PromiseWithResolvers<void> & { asked: boolean }) | undefined

beforeAll(async () => {
  provider = await startSteppedProvider()
  books = createMemoryBooks({ clock: { wallNow: Date.now }, everyoneHas: 1_000_000_000_000 })
  const { ledgerStore } = books
  const { lease } = ledgerStore
  ledgerStore.lease = async (ask) => {
    if (credit) credit.asked = true
    await credit?.promise
    return lease(ask)
  }
  const at = (name: string) => ({ kind: 'openai', base_url: provider.baseUrl(name) })
  const price = { input_per_million: rate.input, output_per_million: rate.output }
  gateway = await startTestGateway({
    env: { UPSTREAM_MAX_CONCURRENCY: '1', CIRCUIT_BREAKER_MIN_REQUESTS: '100000', RETRY_INITIAL_BACKOFF: '10s' },
    ports: { ledgerStore },
    routing: () => ({
      providers: { alone: at('alone'), first: at('first'), again: at('again'), onward: at('onward') },
      models: {
        alone: { targets: [{ provider: 'alone' }], price },
        restart: { targets: [{ provider: 'first' }, { provider: 'again' }], price },
        prefill: { targets: [{ provider: 'first' }, { provider: 'onward', prefill: true }], price },
      },
    }),
  })
})
afterAll(async () => {
  await gateway.close()
  provider.close()
})
let books: MemoryBooks
let before: { ends: number; available: number }
beforeEach(() => {
  before = { ends: books.ledgerStore.ends.length, available: books.of(testAccountId).available }
})

interface Caller {
  /** Bytes of what was sent. */
  bytes: number
  response: Promise<Response>
  leave(): void
  /** Reads on until so many events have come, in all. */
  read(count: number): Promise<void>
  /** To the end. */
  rest(): Promise<string>
}

function call(endpoint: string, fields: object): Caller {
  const text = JSON.stringify({ ...fields, stream: true })
  const leaving = new AbortController()
  const response = gateway.post(`/v1/${endpoint}`, text, { signal: leaving.signal })
  response.catch(() => {}) // Whoever waits for it hears of it.
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  const decoder = new TextDecoder()
  let raw = ''
  const more = async () => {
    reader ??= (await response).body!.getReader()
    const { done, value } = await reader.read()
    if (value) raw += decoder.decode(value, { stream: true })
    return !done
  }
  return {
    bytes: text.length,
    response,
    leave: () => leaving.abort(),
    async read(count) {
      while (raw.split('\n\n').length - 1 < count) if (!(await more())) throw new Error(`ended early: ${raw}`)
    },
    async rest() {
      while (await more());
      return raw
    },
  }
}

/** The one that has ended since the test began, once its money is where it belongs. */
async function theEnd() {
  const ends = await eventually(
    () => books.ledgerStore.ends.slice(before.ends),
    (all) => all.length > 0,
  )
  expect(ends).toHaveLength(1)
  const [end] = ends
  await eventually(
    () => books.of(testAccountId),
    ({ held }) => held === 0,
  )
  expect(before.available - books.of(testAccountId).available).toBe(end!.amount)
  before = { ends: books.ledgerStore.ends.length, available: books.of(testAccountId).available }
  return end!
}

const promptOf = (bytes: number) => Math.ceil(bytes / 4)

/** What a caller pays who was given so many pieces: those, the prompt by its length, and it is said to be an estimate. */
async function expectEstimate(caller: Caller, tokens: number) {
  const inputTokens = promptOf(caller.bytes)
  expect(await theEnd()).toMatchObject({
    ...{ event: 'settle', outputTokens: tokens, inputTokens, cachedInputTokens: 0 },
    amount: Math.ceil(inputTokens * rate.input + tokens * rate.output),
    facts: { status: 499, streamed: true, source: 'estimated' },
  })
}

const messages = [{ role: 'user', content: 'Say some words' }]
const word = (i: number, more: object = {}) => ({
  id: 'chat',
  choices: [{ index: 0, delta: { ...(i === 1 && { role: 'assistant' }), content: `w${i} ` }, ...more }],
})
const finish = { id: 'chat', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
const usage = { prompt_tokens: 11, completion_tokens: pieces, total_tokens: 11 + pieces }
function finishChat(to: SteppedCall, said: object = usage) {
  to.send(finish)
  to.send({ id: 'chat', choices: [], usage: said })
  to.send('[DONE]')
  to.end()
}

describe('of a chat', () => {
  test('each k of 40 pieces that were delivered are paid for, no more and no less', async () => {
    for (const k of everyLength) {
      const caller = call('chat/completions', { model: 'alone', messages })
      const asked = await provider.next()
      for (let i = 1; i <= k; i++) {
        asked.send(word(i))
        await caller.read(i)
      }
      caller.leave()
      await asked.closed
      await expectEstimate(caller, k)
    }
  }, 60_000)

  test('what was sent whole is paid for as the provider counts it', async () => {
    const caller = call('chat/completions', { model: 'alone', messages })
    const asked = await provider.next()
    for (let i = 1; i <= pieces; i++) {
      asked.send(word(i))
      await caller.read(i)
    }
    finishChat(asked)
    expect(await caller.rest()).toContain('[DONE]')
    expect(await theEnd()).toMatchObject({
      ...{ event: 'settle', inputTokens: 11, outputTokens: pieces, amount: 11 * rate.input + pieces * rate.output },
      facts: { status: 200, source: 'provider' },
    })
  })
})

describe('of a response', () => {
  let number = 0
  const event = (type: string, more: object = {}) => ({ type, sequence_number: number++, ...more })
  const created = () => {
    number = 0
    return event('response.created', { response: { id: 'resp', status: 'in_progress' } })
  }
  const delta = (i: number) => event('response.output_text.delta', { delta: `w${i} ` })

  test('each k of 40 pieces that were delivered are paid for, no more and no less', async () => {
    for (const k of everyLength) {
      const caller = call('responses', { model: 'alone', input: 'Say some words' })
      const asked = await provider.next()
      asked.send(created())
      for (let i = 1; i <= k; i++) {
        asked.send(delta(i))
        await caller.read(1 + i)
      }
      caller.leave()
      await asked.closed
      await expectEstimate(caller, k)
    }
  }, 60_000)

  test('what was sent whole is paid for as the provider counts it', async () => {
    const caller = call('responses', { model: 'alone', input: 'Say some words' })
    const asked = await provider.next()
    asked.send(created())
    for (let i = 1; i <= pieces; i++) {
      asked.send(delta(i))
      await caller.read(1 + i)
    }
    const said = { input_tokens: 11, output_tokens: pieces, input_tokens_details: { cached_tokens: 4 } }
    asked.send(event('response.completed', { response: { id: 'resp', status: 'completed', usage: said } }))
    asked.end()
    await caller.rest()
    expect(await theEnd()).toMatchObject({
      ...{ inputTokens: 11, cachedInputTokens: 4, outputTokens: pieces },
      facts: { status: 200, source: 'provider' },
    })
  })
})

describe.each(['restart', 'prefill'] as const)('of an answer that another one goes on with (%s)', (way) => {
  const cutAt = 15
  /** Both parts are the caller's: where the other one begins anew, what it repeats is not sent again. */
  async function rescued(caller: Caller) {
    const first = await provider.next()
    for (let i = 1; i <= cutAt; i++) {
      first.send(word(i))
      await caller.read(i)
    }
    first.cut()
    const second = await provider.next()
    expect([first.name, second.name]).toEqual(['first', way === 'restart' ? 'again' : 'onward'])
    return second
  }

  test('the pieces of both parts are paid for, once', async () => {
    for (const k of everyLength.slice(cutAt)) {
      const caller = call('chat/completions', { model: way, messages })
      const second = await rescued(caller)
      if (way === 'restart' && k > cutAt) for (let i = 1; i <= cutAt; i++) second.send(word(i))
      for (let i = cutAt + 1; i <= k; i++) {
        second.send(word(i))
        await caller.read(i)
      }
      caller.leave()
      await second.closed
      await expectEstimate(caller, k)
    }
  }, 60_000)

  test('the whole is paid for as the last one counts it, and what it had not to say is no part of its prompt', async () => {
    const caller = call('chat/completions', { model: way, messages })
    const second = await rescued(caller)
    const own = way === 'restart' ? 1 : cutAt + 1
    for (let i = own; i <= pieces; i++) second.send(word(i))
    const completion = pieces - own + 1
    finishChat(second, { prompt_tokens: 11 + pieces - completion, completion_tokens: completion })
    expect(await caller.rest()).toContain('[DONE]')
    expect(await theEnd()).toMatchObject({
      ...{ inputTokens: 11, outputTokens: pieces },
      // One who continues has not counted what was said before.
      facts: { status: 200, source: way === 'restart' ? 'provider' : 'estimated' },
    })
  })

  test('several tokens in one event are several', async () => {
    const caller = call('chat/completions', { model: way, messages })
    const second = await rescued(caller)
    const own = way === 'restart' ? 1 : cutAt + 1
    const content = Array.from({ length: pieces - own + 1 }, (_, i) => `w${own + i} `).join('')
    second.send({ id: 'chat', choices: [{ index: 0, delta: { content } }] })
    const completion = pieces - own + 1
    finishChat(second, { prompt_tokens: 11 + pieces - completion, completion_tokens: completion })
    expect(await caller.rest()).toContain('[DONE]')
    expect(await theEnd()).toMatchObject({ inputTokens: 11, outputTokens: pieces })
  })
})

describe('before the first piece', () => {
  test('a prompt that the provider has been sent is paid for', async () => {
    const caller = call('chat/completions', { model: 'alone', messages })
    const asked = await provider.next()
    caller.leave()
    await asked.closed
    await expectEstimate(caller, 0)
  })

  test('one who leaves while waiting for credit pays nothing, and nothing is held', async () => {
    credit = { asked: false, ...Promise.withResolvers<void>() }
    // More than the slice at hand.
    const caller = call('chat/completions', { model: 'alone', messages, max_tokens: 1_000_000 })
    await eventually(() => credit?.asked)
    const left = () => gateway.log.filter(({ status }) => status === 499).length
    const leftBefore = left()
    caller.leave()
    await eventually(() => left() > leftBefore)
    credit.resolve()
    credit = undefined
    // Whatever it had held would be in the books before the next one.
    const next = call('chat/completions', { model: 'alone', messages })
    const asked = await provider.next()
    next.leave()
    await asked.closed
    await expectEstimate(next, 0)
  })

  test('one who leaves while waiting for a place at the provider pays nothing', async () => {
    const one = call('chat/completions', { model: 'alone', messages })
    const asked = await provider.next()
    const held = await eventually(() => books.of(testAccountId).held)
    const two = call('chat/completions', { model: 'alone', messages })
    await eventually(() => books.of(testAccountId).held === 2 * held)
    two.leave()
    const ends = await eventually(
      () => books.ledgerStore.ends.slice(before.ends),
      (all) => all.length > 0,
    )
    expect(ends).toMatchObject([{ event: 'release', amount: 0, facts: { status: 499, source: 'none' } }])
    before.ends++
    one.leave()
    await asked.closed
    await expectEstimate(one, 0)
  })
})
