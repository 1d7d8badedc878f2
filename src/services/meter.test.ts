import { beforeEach, describe, expect, test } from 'vitest'
import { createMemoryBooks, type MemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import type { MemoryLedgerStore } from '../../adapters/memory/ledger-store.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import type { HoldEvent } from '../domain/ledger.ts'
import type { Principal } from '../domain/principal.ts'
import { receiptOf } from '../domain/receipt.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { CallTrace } from '../upstream/guarded-call.ts'
import type { Job } from './cost.ts'
import { createLedger } from './ledger.ts'
import { createNoteKept, type MeteredRequest, type Seller, startMeter } from './meter.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const principal: Principal = {
  ...{ accountId: 'account', keyId: 'key', role: 'user', scopes: ['inference'] },
  limits: { key: {}, account: {} },
}
/** A hundred tokens by its length; a micro-dollar each, and ten for one that comes out. */
const job: Job = { endpoint: 'chat/completions', body: { max_tokens: 50 }, bytes: 400 }
const seller = (provider: string, dearer = 1): Seller => ({
  ...{ provider, model: `${provider}-model`, contextWindow: undefined },
  price: {
    ...{ inputPerMillion: 1e6 * dearer, cachedInputPerMillion: 5e5 * dearer, outputPerMillion: 1e7 * dearer },
    ...{ perImage: undefined, perMinute: undefined, perMillionCharacters: undefined, perToolCall: 1_000 * dearer },
  },
})

let clock: FakeClock
let store: MemoryLedgerStore
let books: MemoryBooks
let ledger: ReturnType<typeof createLedger>
let told: string[]
let metrics: FakeMetrics

beforeEach(async () => {
  clock = new FakeClock()
  books = createMemoryBooks({ clock })
  store = books.ledgerStore
  await books.credits.grant('account', { id: 'one', kind: 'granted', amount: 1_000_000 })
  told = []
  metrics = new FakeMetrics()
  const journal = createMemoryJournal()
  const { append } = journal
  journal.append = (event) => {
    told.push(event)
    return append(event)
  }
  const own = { clock, random: () => 0.5, journal, store, mode: { readOnly: false }, metrics, log }
  ledger = createLedger({ ...own, podId: 'pod', processId: 'process', pods: () => 1 })
})

const request = (trace: Partial<CallTrace> = {}) => {
  const endings: ((status: number) => void)[] = []
  const metered: MeteredRequest = {
    ...{ id: 'request', headers: { 'x-cache': 'miss', ratelimit: '5', secret: 'no' }, tokensUsed: undefined },
    trace: { attempts: 1, waitedMs: 12.34, ...trace },
    elapsedMs: () => 56.78,
    onEnd: (fn) => void endings.push(fn),
  }
  return { metered, end: (status: number) => endings.forEach((fn) => void fn(status)) }
}
const start = async (sellers = [seller('first')], { metered, end } = request()) => {
  const signal = new AbortController().signal
  const meter = await startMeter({ ledger }, metered, principal, job, sellers, { stream: true, signal })
  return { meter, end, metered }
}
async function theEnd() {
  await clock.advance(100)
  expect(store.ends).toHaveLength(1)
  expect(books.of('account')).toMatchObject({ available: 1_000_000 - store.ends[0]!.amount, held: 0 })
  return store.ends[0]!
}

test('the dearest of those who may answer is held for, and a pod that dies is billed by the first', async () => {
  await start([seller('first'), seller('second', 3)])
  const hold = JSON.parse(told[0]!) as HoldEvent
  expect(hold).toMatchObject({
    ...{ event: 'hold', amount: 3 * (400 + 50 * 10), operationId: 'request' },
    terms: { base: 100, outputPerMillion: 1e7, inputTokens: 100, provider: 'first', streamed: true },
  })
})

test('what is said of an answer is what it costs, under whoever gave it', async () => {
  const { meter, metered } = await start([seller('first'), seller('second', 3)])
  meter.answeredBy(seller('second', 3))
  meter.usage({ inputTokens: 90, cachedInputTokens: 30, outputTokens: 20 })
  expect(meter.cost).toBe(3 * (60 + 15 + 200))
  await Promise.all([meter.end(200), theEnd()])
  expect(store.ends[0]).toMatchObject({
    ...{
      event: 'settle',
      amount: 825,
      model: 'second-model',
      inputTokens: 90,
      cachedInputTokens: 30,
      outputTokens: 20,
    },
    facts: {
      ...{ status: 200, provider: 'second', held: 2_700, cache: 'miss', source: 'provider' },
      ...{ limits: { ratelimit: '5' }, totalMs: 56.8, providerMs: 12.3 },
      price: { inputPerMillion: 3e6, cachedInputPerMillion: 1.5e6, outputPerMillion: 3e7 },
    },
  })
  expect(metered.tokensUsed).toBe(110)
})

test('tools that the provider ran are paid for beside the tokens, and are in the receipt', async () => {
  const { meter } = await start()
  meter.answeredBy(seller('first'))
  meter.toolCalls(2)
  meter.usage({ inputTokens: 100, cachedInputTokens: 0, outputTokens: 1 })
  await Promise.all([meter.end(200), theEnd()])
  expect(store.ends[0]).toMatchObject({ amount: 2_110, facts: { toolCalls: 2, price: { perToolCall: 1_000 } } })
  expect(receiptOf(store.ends[0]!)).toMatchObject({ usage: { tool_calls: 2 }, price: { per_tool_call: '0.001' } })
})

test('a model that searches for each answer has searched for this one, whoever leaves', async () => {
  const { meter, end } = await start()
  meter.answeredBy({ ...seller('first'), model: 'gpt-4o-search-preview-2025-03-11' })
  await Promise.all([meter.reached(1), end(499), theEnd()])
  expect(store.ends[0]).toMatchObject({ amount: 1_110, facts: { toolCalls: 1 } })
})

test('the first end counts', async () => {
  const { meter, end } = await start()
  meter.answeredBy(seller('first'))
  meter.usage({ inputTokens: 1, cachedInputTokens: 0, outputTokens: 1 })
  void meter.end(200)
  meter.usage({ inputTokens: 100, cachedInputTokens: 0, outputTokens: 100 })
  void meter.end(200)
  end(499)
  expect(await theEnd()).toMatchObject({ amount: 11, facts: { status: 200 } })
})

describe('what a provider bills', () => {
  const billing = (provider: string, perMillion: number): Seller => ({
    ...seller(provider),
    providerCost: { inputPerMillion: perMillion, cachedInputPerMillion: perMillion, outputPerMillion: perMillion },
  })
  const known = () => [metrics.counted(instruments.costedRevenue), metrics.counted(instruments.providerCost)]

  test('is counted once beside what was charged, at the rates of who answered last, and stands in no book', async () => {
    const { meter, end } = await start([billing('first', 9e6), billing('second', 250_000)])
    meter.answeredBy(billing('first', 9e6))
    meter.answeredBy(billing('second', 250_000))
    meter.usage({ inputTokens: 1, cachedInputTokens: 0, outputTokens: 1 })
    void meter.end(200)
    end(200)
    await theEnd()
    expect(known()).toEqual([11e-6, 0.5e-6])
    expect(metrics.counted(instruments.providerCost, { provider: 'second' })).toBe(0.5e-6)
    expect(told.join()).not.toMatch(/providerCost/)
  })

  test('is counted for nobody whose answer came to nothing, nor where it is not known', async () => {
    const { end } = await start([billing('first', 250_000)])
    end(502)
    expect(await theEnd()).toMatchObject({ event: 'release' })
    const unknown = await start([seller('first')], request())
    unknown.meter.answeredBy(seller('first'))
    void unknown.meter.end(200)
    expect(known()).toEqual([0, 0])
  })
})

describe('without the provider’s word', () => {
  test('the pieces that were delivered and the prompt’s length are paid for, as an estimate', async () => {
    const { meter, end } = await start()
    meter.answeredBy(seller('first'))
    for (const tokens of [1, 2, 7]) void meter.reached(tokens)
    end(499)
    expect(await theEnd()).toMatchObject({
      ...{ amount: 100 + 70, inputTokens: 100, outputTokens: 7 },
      facts: { source: 'estimated' },
    })
  })

  test.each(['after', 'before'])('nor is noughts a word that come %s the text beside it', async (when) => {
    const { meter, end } = await start()
    meter.answeredBy(seller('first'))
    const say = () => meter.usage({ inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 })
    if (when === 'before') say()
    void meter.reached(7)
    if (when === 'after') say()
    end(200)
    expect(await theEnd()).toMatchObject({ amount: 100 + 70, facts: { source: 'estimated' } })
  })

  test('beyond what some tell all along the pieces that were delivered are paid for', async () => {
    const { meter, end, metered } = await start()
    meter.answeredBy(seller('first'))
    void meter.reached(1)
    meter.usage({ inputTokens: 90, cachedInputTokens: 0, outputTokens: 1 }, { early: true })
    void meter.reached(1)
    expect(meter.cost).toBe(90 + 10)
    void meter.reached(7)
    end(499)
    expect(await theEnd()).toMatchObject({
      ...{ amount: 90 + 70, inputTokens: 90, outputTokens: 7 },
      facts: { source: 'estimated' },
    })
    expect(metered.tokensUsed).toBe(97)
  })

  test('but not where the last word comes', async () => {
    const { meter, end } = await start()
    meter.answeredBy(seller('first'))
    meter.usage({ inputTokens: 90, cachedInputTokens: 0, outputTokens: 1 }, { early: true })
    void meter.reached(7)
    meter.usage({ inputTokens: 90, cachedInputTokens: 0, outputTokens: 5 })
    void meter.reached(7)
    end(200)
    expect(await theEnd()).toMatchObject({ amount: 90 + 50, outputTokens: 5, facts: { source: 'provider' } })
  })

  const picture = `data:image/png;base64,${'A'.repeat(300_000)}`
  const shown = (part: object) => ({
    messages: [{ role: 'user', content: [{ type: 'text', text: 'What is it?' }, part] }],
  })
  test.each<[string, object, number, number | undefined, number]>([
    [
      'a picture is a thousand tokens',
      shown({ type: 'image_url', image_url: { url: picture } }),
      300_200,
      undefined,
      1_045,
    ],
    [
      'so is one of a response',
      { input: shown({ type: 'input_image', image_url: picture }).messages },
      300_200,
      undefined,
      1_045,
    ],
    [
      'a small one is as long as it is',
      shown({ type: 'image_url', image_url: { url: 'data:,A' } }),
      5_000,
      undefined,
      1_250,
    ],
    ['a text that begins so is a text', { messages: [{ role: 'user', content: picture }] }, 300_200, undefined, 75_050],
    ['no prompt is longer than the window', { messages: [] }, 300_200, 2_000, 2_000],
    ['of each text of a list', { input: ['a', 'b'] }, 300_200, 2_000, 4_000],
  ])('%s', async (_, body, bytes, contextWindow, inputTokens) => {
    const endpoint = 'input' in body && Array.isArray(body.input) && body.input.length > 1 ? 'embeddings' : job.endpoint
    const { metered, end } = request()
    const signal = new AbortController().signal
    const asked: Job = { endpoint, body: { ...body, max_tokens: 50 }, bytes }
    const sellers = [{ ...seller('first'), contextWindow }]
    const meter = await startMeter({ ledger }, metered, principal, asked, sellers, { stream: true, signal })
    meter.answeredBy(sellers[0]!)
    end(499)
    expect(await theEnd()).toMatchObject({ amount: inputTokens, inputTokens })
  })

  test('a whole answer is paid for by its length', async () => {
    const { meter, end, metered } = await start()
    meter.answeredBy(seller('first'))
    meter.measured(5)
    end(200)
    expect(await theEnd()).toMatchObject({ amount: 100 + 50, outputTokens: 5, facts: { source: 'estimated' } })
    expect(metered.tokensUsed).toBe(105)
  })

  const tried = (outcome: string) => ({ provider: 'p', model: 'm', outcome, reason: 'first choice', ms: 1 })

  test('one who leaves while a provider works pays for the prompt', async () => {
    const { end } = await start(undefined, request({ tries: [tried('server'), tried('client')] }))
    end(499)
    expect(await theEnd()).toMatchObject({ event: 'settle', amount: 100, outputTokens: 0 })
  })

  test('at the price of the one who works', async () => {
    const two = [seller('first'), seller('second', 3)]
    const { meter, end } = await start(two, request({ tries: [tried('server'), tried('client')] }))
    for (const each of two) meter.asking(each)
    end(499)
    expect(await theEnd()).toMatchObject({
      ...{ event: 'settle', amount: 300, model: 'second-model' },
      facts: { provider: 'second', price: { inputPerMillion: 3e6 } },
    })
  })

  test('one who has begun to answer is paid for it, whoever else is asked to go on', async () => {
    const { meter, end } = await start([seller('first'), seller('second', 3)], request({ tries: [tried('client')] }))
    meter.answeredBy(seller('first'))
    void meter.reached(7)
    meter.asking(seller('second', 3))
    end(499)
    expect(await theEnd()).toMatchObject({ amount: 100 + 70, model: 'first-model' })
  })

  test.each([
    ['nobody was asked', []],
    ['whoever was asked had failed', [tried('not_sent')]],
  ])('and nothing where %s', async (_, tries) => {
    const { end } = await start(undefined, request({ tries }))
    end(499)
    expect(await theEnd()).toMatchObject({
      ...{ event: 'release', amount: 0, inputTokens: 0 },
      facts: { source: 'none' },
    })
  })

  test('nothing is paid where nobody answered, whatever was tried', async () => {
    const { end } = await start()
    end(503)
    expect(await theEnd()).toMatchObject({ event: 'release', amount: 0 })
  })

  test('nor for what is good for nothing', async () => {
    const { meter, end } = await start()
    meter.answeredBy(seller('first'))
    void meter.reached(5)
    meter.unanswered()
    end(200)
    expect(await theEnd()).toMatchObject({ event: 'release', amount: 0 })
  })
})

test('whoever goes on with an answer says what it comes to: the word of the one before is forgotten', async () => {
  const { meter, end } = await start()
  meter.answeredBy(seller('first'))
  meter.usage({ inputTokens: 9, cachedInputTokens: 0, outputTokens: 9 })
  meter.answeredBy(seller('second'))
  void meter.reached(3)
  end(499)
  expect(await theEnd()).toMatchObject({ amount: 130, model: 'second-model', outputTokens: 3 })
})

test('parts of one answer are added up', async () => {
  const { meter, end } = await start()
  meter.answeredBy(seller('first'))
  for (let i = 1; i <= 3; i++) meter.addUsage({ inputTokens: i, cachedInputTokens: 1, outputTokens: 2 * i })
  end(200)
  expect(await theEnd()).toMatchObject({ inputTokens: 6, cachedInputTokens: 3, outputTokens: 12 })
})

test('an answer that was given before is noted, and costs nothing', async () => {
  const { metered, end } = request()
  createNoteKept({ ledger })(metered, principal, {
    ...{ endpoint: 'chat/completions', stream: false, provider: 'p', model: 'm\0', cache: 'memory' },
  })
  end(200)
  expect(await theEnd()).toMatchObject({
    ...{ event: 'settle', amount: 0, model: 'm�', inputTokens: 0, outputTokens: 0 },
    facts: { source: 'cache', cache: 'memory', held: 0 },
  })
  expect(metered.tokensUsed).toBe(0)
})

test('who leaves before the provider says what it was has used what he was sent', async () => {
  const { meter, end, metered } = await start()
  meter.answeredBy(seller('first'))
  await meter.reached(40)
  end(499)
  const { inputTokens } = await theEnd()
  expect(metered.tokensUsed).toBe(inputTokens + 40)
})

test('what the provider says it was goes before what was counted', async () => {
  const { meter, end, metered } = await start()
  meter.answeredBy(seller('first'))
  await meter.reached(3)
  meter.usage({ inputTokens: 5, cachedInputTokens: 0, outputTokens: 7 })
  await meter.reached(9)
  end(200)
  expect(metered.tokensUsed).toBe(12)
})
