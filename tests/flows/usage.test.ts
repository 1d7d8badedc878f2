import { afterEach, expect, test } from 'vitest'
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import type { UsageEvent } from '../../src/domain/usage.ts'
import type { Ports } from '../../src/ports.ts'
import { eventually, readSse, startTestGateway, type TestGateway } from '../support/gateway.ts'

let gateway: TestGateway
afterEach(() => gateway.close())

async function start(ports: Partial<Ports> = {}) {
  const recorded: UsageEvent[] = []
  const usageStore = {
    primary: () => '',
    async record(events: readonly UsageEvent[]) {
      recorded.push(...events)
      return { refused: 0 }
    },
  }
  gateway = await startTestGateway({ ports: { usageStore, ...ports } })
  return recorded
}
const chat = (extra: object = {}, init: RequestInit = {}) =>
  gateway.post(
    '/v1/chat/completions',
    { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5, ...extra },
    init,
  )

test('each request that a provider served is recorded once, with the id that its caller was told', async () => {
  const recorded = await start()
  const whole = await chat()
  await whole.text()
  const streamed = await chat({ stream: true })
  await readSse(streamed)
  await eventually(() => recorded.length === 2)
  expect(recorded).toEqual([
    {
      accountId: '00000000-0000-7000-8000-000000000001',
      keyId: '00000000-0000-7000-8000-000000000002',
      requestId: whole.headers.get('x-request-id'),
      at: expect.any(Number),
      endpoint: 'chat/completions',
      provider: 'openai',
      model: 'gpt-4o',
      status: 200,
      streamed: false,
    },
    expect.objectContaining({ requestId: streamed.headers.get('x-request-id'), streamed: true }),
  ])
})

test('a caller who leaves in the middle of a stream is recorded as one who left', async () => {
  const recorded = await start()
  const leave = new AbortController()
  const response = await chat({ stream: true, max_tokens: 100_000 }, { signal: leave.signal })
  await response.body!.getReader().read()
  leave.abort()
  await eventually(() => recorded.length === 1)
  expect(recorded[0]).toMatchObject({ status: 499, streamed: true })
})

test('what no provider was asked for is not recorded', async () => {
  const recorded = await start()
  await (await chat({ messages: 'none' })).text()
  await (await gateway.get('/v1/models')).text()
  await gateway.stop()
  expect(recorded).toEqual([])
})

test('a journal that is full: nothing is served that could not be recorded, and reading goes on', async () => {
  await start({ journal: { ...createMemoryJournal(), full: true } })
  const refused = await chat()
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('5')
  expect(await refused.json()).toMatchObject({ error: { code: 'usage_unrecordable' } })
  expect((await gateway.get('/v1/models')).status).toBe(200)
})
