import { expect, test } from 'vitest'
import type { Principal } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import { createTurnAway, type RequestHead } from './turn-away.ts'

const principal: Principal = {
  accountId: 'account',
  keyId: 'key',
  role: 'user',
  scopes: ['inference'],
  limits: { key: {}, account: {} },
}
const error = new ApiError('overloaded', { retryAfterMs: 1_540, shouldRetry: true })

function world() {
  const told: object[] = []
  const state = { full: true, draining: false, level: 0 as 0 | 1 }
  const turnAway = createTurnAway({
    paths: new Set(['/v1/chat/completions']),
    admission: {
      turnsAway: () => state.full,
      turnAway: (digest) => (digest === 'digest of a refused key' ? { error, principal } : undefined),
      level: () => state.level,
    },
    context: { turnedAway: (request) => void told.push(request) },
    digest: (text) => `digest of ${text}`,
    newId: () => 'new id',
    isDraining: () => state.draining,
  })
  const ask = ({ headers, ...head }: Partial<RequestHead> = {}) =>
    turnAway({
      method: 'POST',
      url: '/v1/chat/completions',
      ...head,
      headers: headers ?? { authorization: 'Bearer a refused key' },
    })
  return { ask, told, state }
}

test('who was refused has the words of any other refusal, and is told of', () => {
  const { ask, told, state } = world()
  const headers = { authorization: 'Bearer a refused key', 'x-request-id': "the caller's" }
  expect(ask({ headers })).toEqual({
    status: 503,
    headers: {
      'x-request-id': 'new id',
      'content-type': 'application/json',
      'retry-after': '2',
      'retry-after-ms': '1540',
      'x-should-retry': 'true',
    },
    body: '{"error":{"message":"Too many requests are under way. Try again shortly.","type":"server_error","param":null,"code":"overloaded"}}',
  })
  expect(told).toEqual([
    {
      id: 'new id',
      callerId: "the caller's",
      method: 'POST',
      route: '/v1/chat/completions',
      status: 503,
      principal,
      log: { code: 'overloaded' },
    },
  ])
  state.level = 1
  expect(ask({ headers: { 'x-api-key': 'a refused key' } })?.headers).toMatchObject({ 'x-gpuproxy-brownout': '1' })
})

test.each<[string, Partial<RequestHead>]>([
  ['another method', { method: 'GET' }],
  ['another path', { url: '/v1/models' }],
  ['a path with a query', { url: '/v1/chat/completions?x=1' }],
  ['no credential', { headers: {} }],
  ['another credential', { headers: { authorization: 'Bearer another key' } }],
  ['another scheme', { headers: { authorization: 'Basic a refused key' } }],
  ['another scheme beside a key', { headers: { authorization: 'Basic x', 'x-api-key': 'a refused key' } }],
  ['a page that calls', { headers: { authorization: 'Bearer a refused key', origin: 'https://a.example' } }],
  ['a priority', { headers: { authorization: 'Bearer a refused key', 'x-gpuproxy-priority': 'low' } }],
  ['a time of its own', { headers: { authorization: 'Bearer a refused key', 'x-request-timeout-ms': '80' } }],
])('%s comes in', (_, head) => {
  const { ask, told } = world()
  expect(ask(head)).toBeUndefined()
  expect(told).toEqual([])
})

test('all come in where nobody is refused, and while the pod drains, whose answers end their connections', () => {
  const { ask, state } = world()
  state.full = false
  expect(ask()).toBeUndefined()
  state.full = true
  state.draining = true
  expect(ask()).toBeUndefined()
})
