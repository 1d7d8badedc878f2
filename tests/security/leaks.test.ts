/** The gateway's own credentials reach their vendor, and nobody else: also where the vendor says them back. */
import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryDeployments } from '../../adapters/memory/deployments.ts'
import { createMemoryIdempotency } from '../../adapters/memory/idempotency.ts'
import { createMemoryPaymentStore } from '../../adapters/memory/payments.ts'
import { createMemoryPreferences } from '../../adapters/memory/preferences.ts'
import { createMemoryPriceHistory } from '../../adapters/memory/price-history.ts'
import { createMemoryRentals } from '../../adapters/memory/rentals.ts'
import { createMemorySightings } from '../../adapters/memory/sightings.ts'
import type { Ports } from '../../src/ports.ts'
import { routes } from '../../src/reference/routes.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { startTestGateway, type TestGateway, testAccountId, testKey } from '../support/gateway.ts'
import { type RawServer, startRawServer } from '../support/raw-http.ts'

const canary = 'sk-canary-of+the/gateway=0123456789'
const spellings = [canary, encodeURIComponent(canary), Buffer.from(canary).toString('base64').replace(/=+$/, '')]
let vendor: RawServer
let gateway: TestGateway
let answer: (socket: Socket) => void

beforeEach(async () => {
  vendor = await startRawServer((socket) => answer(socket))
  const each = { baseUrl: vendor.url, apiKey: canary }
  gateway = await startTestGateway({
    providers: {
      openai: { ...each, baseUrl: `${vendor.url}/v1` },
      vastai: each,
      ionet: each,
      billing: each,
      stripe: { ...each, webhookSecret: 'whsec_test' },
    },
  })
})
afterEach(async () => {
  await gateway.close()
  await vendor.close()
})

const reply = (status: number, body: string, type = 'application/json') =>
  `HTTP/1.1 ${status} X\r\ncontent-type: ${type}\r\nx-key: ${canary}\r\nset-cookie: k=${canary}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
const quoting = (secret: string, code = secret) =>
  JSON.stringify({ error: { message: `bad header "Bearer ${secret}"`, type: 'x', param: secret, code } })
/** In two pieces, cut within the secret. */
const inTwo = (text: string, secret: string) => (socket: Socket) => {
  const at = text.indexOf(secret) + Math.floor(secret.length / 2)
  socket.setNoDelay(true)
  socket.write(text.slice(0, at), () => setImmediate(() => socket.write(text.slice(at))))
}
const heard = async (response: Response) =>
  `${JSON.stringify([...response.headers])}${await response.text()}${JSON.stringify(gateway.log)}${await gateway.metricsText()}`

describe('a vendor that quotes our credential in its error', () => {
  const calls: Record<string, () => Promise<Response>> = {
    'a chat': () => gateway.post('/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content: 'hi' }] }),
    'a stream': () =>
      gateway.post('/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content: 'hi' }], stream: true }),
    speech: () => gateway.post('/v1/audio/speech', { model: 'tts-1', input: 'hi', voice: 'alloy' }),
    embeddings: () => gateway.post('/v1/embeddings', { model: 'text-embedding-3-small', input: 'hi' }),
    models: () => gateway.get('/v1/models'),
    offers: () => gateway.get('/api/v1/gpu/offers'),
    'a payment': () =>
      gateway.post(
        '/api/v1/billing/payments',
        { amount: '25.00', currency: 'USD', payment_method: 'pm_card_visa' },
        { headers: { 'idempotency-key': 'leak' } },
      ),
  }
  test.each(Object.keys(calls))('is not heard in the answer to %s, nor in the log or the metrics', async (what) => {
    for (const status of [400, 401, 403, 404, 413, 422, 429, 500, 503]) {
      for (const secret of spellings) {
        const tooLong = quoting(secret, 'context_length_exceeded')
        for (const text of [
          reply(status, quoting(secret)),
          reply(status, tooLong),
          reply(status, `<p>Bearer ${secret}</p>`, 'text/html'),
        ]) {
          answer = inTwo(text, secret)
          const said = await heard(await calls[what]!())
          for (const spelling of spellings) expect(said.includes(spelling), `${status} ${secret}`).toBe(false)
        }
      }
      // An open circuit would keep the next status from being asked for.
      await gateway.get('/api/v1/admin/breakers/openai:other', {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: '{"state":"closed"}',
      })
    }
    expect(vendor.requests().length).toBeGreaterThan(0)
  })

  test('is not heard in a verdict that comes as the first event of a stream', async () => {
    const error = {
      error: { message: `content_policy ${canary}`, code: 'content_policy_violation', type: 'invalid_request_error' },
    }
    const event = `data: ${JSON.stringify(error)}\n\n`
    answer = (socket) =>
      socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n${event}`)
    const said = await heard(await calls['a stream']!())
    expect(said).not.toContain(canary)
  })

  test('other errors of the vendor’s pass on in its words', async () => {
    answer = (socket) => socket.write(reply(400, quoting('nothing secret')))
    const response = await calls['a chat']!()
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('nothing secret')
  })
})

describe('an error that nobody foresaw', () => {
  const words = 'canary: select * from secrets at /srv/app/secret.ts:1:1 on db-7.internal:5432 by sk-canary'
  /** Once it is to fail, each of its functions does, at once or later. */
  const failing = <T extends object>(port: T, how: { sync: boolean; begun: boolean }): T =>
    new Proxy(port, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (typeof value !== 'function' || !how.begun) return value
        return () => {
          if (how.sync) throw new Error(words)
          return Promise.reject(new Error(words))
        }
      },
    })
  const stores = () => {
    const books = createMemoryBooks({ clock })
    const { statements, guardrails, credits } = books
    return {
      ...{ statements, guardrails, credits, rentals: createMemoryRentals({ clock, books }) },
      ...{ preferences: createMemoryPreferences(), deployments: createMemoryDeployments({ clock }) },
      ...{ idempotency: createMemoryIdempotency({ clock }), paymentStore: createMemoryPaymentStore({ clock }) },
      ...{ priceHistory: createMemoryPriceHistory(), sightings: createMemorySightings() },
    }
  }

  test.each([true, false])('in any store says nothing of itself at any route (at once: %s)', async (sync) => {
    const how = { sync, begun: false }
    const ports: Partial<Ports> = Object.fromEntries(
      Object.entries(stores()).map(([name, store]) => [name, failing(store, how)]),
    )
    const broken = await startTestGateway({ ports })
    how.begun = true
    try {
      let failed = 0
      for (const route of routes) {
        if (route.name === 'watchLive' || 'none' in route.examples) continue
        const [example] = route.examples
        const path = route.path.replace(/\{\w+\}/g, testAccountId)
        const response = await broken.get(path, {
          method: route.method,
          headers: {
            'content-type': 'application/json',
            'idempotency-key': route.name,
            authorization: `Bearer ${testKey}`,
          },
          ...(route.body && !route.body.type && { body: JSON.stringify(example.body ?? {}) }),
        })
        const text = JSON.stringify([...response.headers]) + (await response.text().catch(() => ''))
        expect(text, route.name).not.toMatch(/canary|select \*|secret\.ts|\.internal|\n\s+at |node_modules/)
        if (response.status >= 500) failed++
      }
      expect(failed).toBeGreaterThan(10)
    } finally {
      how.begun = false
      await broken.close()
    }
  })
})
