import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { instruments } from '../telemetry/instruments.ts'
import type { LogFields } from '../telemetry/log-fields.ts'
import { type AppEnv, createRequestContext, respond } from './request-context.ts'

function world(oneOf: number) {
  const lines: LogFields[] = []
  const note = (_: string, fields: LogFields = {}) => void lines.push(fields)
  const metrics = new FakeMetrics()
  let ended = 0
  const context = createRequestContext({
    clock: new FakeClock(),
    newId: () => 'id',
    metrics,
    log: { debug: note, info: note, warn: note, error: note },
    reply: (status, headers, body) => new Response(body as string, { status, headers: headers as HeadersInit }),
    isDraining: () => false,
    logOneOf: () => oneOf,
    onEnded() {
      ended++
    },
  })
  const app = new Hono<AppEnv>()
  app.use(context.middleware)
  app.get('/overloaded', (c) => {
    c.get('request').log.code = 'overloaded'
    return respond(c, 503, {}, '')
  })
  app.get('/:status{[0-9]+}', (c) => respond(c, Number(c.req.param('status')), {}, ''))
  const ask = async (status: number | 'overloaded', times: number) => {
    for (let i = 0; i < times; i++) await app.request(`/${status}`, {}, {})
  }
  const turnAway = (times: number) => {
    const refused = { id: 'id', callerId: undefined, method: 'POST', route: '/x', status: 503, principal: undefined }
    for (let i = 0; i < times; i++) context.turnedAway({ ...refused, log: { code: 'overloaded' } })
  }
  return { ask, turnAway, lines, metrics, ended: () => ended }
}

test('each request has its line', async () => {
  const { ask, lines } = world(1)
  await ask(200, 5)
  expect(lines).toHaveLength(5)
  expect(lines[0]).not.toHaveProperty('one_of', 1)
})

test('of a busy pod one in so many of those that went well or were refused by load has one, and every other', async () => {
  const { ask, lines, ended } = world(10)
  await ask(200, 25)
  await ask(503, 5)
  await ask(404, 5)
  expect(lines.map(({ status, one_of }) => `${status} ${one_of}`)).toEqual([
    ...Array(3).fill('200 10'),
    ...Array(5).fill('503 undefined'),
    ...Array(5).fill('404 undefined'),
  ])
  lines.length = 0
  await ask('overloaded', 25)
  expect(lines.map(({ status, one_of }) => `${status} ${one_of}`)).toEqual(Array(2).fill('503 10'))
  expect(ended()).toBe(60)
})

test('of who is turned away one in a hundred has a line, the first among them; all count, and none as an answer of no time', async () => {
  const { turnAway, ask, lines, metrics, ended } = world(10)
  await ask(200, 5)
  lines.length = 0
  turnAway(101)
  expect(lines).toMatchObject(Array(2).fill({ status: 503, code: 'overloaded', one_of: 100 }))
  expect(metrics.counted(instruments.httpRequests, { status: '503' })).toBe(101)
  expect(metrics.observed(instruments.httpDuration)).toHaveLength(5)
  expect(ended()).toBe(106)
})
