import { expect, test } from 'vitest'
import { NotAnswered, NotSent } from '../../src/edge/regions.ts'
import { passOrThrow } from './origin-errors.ts'

const answer = (status: number, headers = {}) => new Response('error code', { status, headers })

test('what the network says of an origin that is gone is a failure, told apart by whether a request may have left', () => {
  for (const status of [521, 523, 525, 526, 530]) expect(() => passOrThrow(answer(status))).toThrow(NotSent)
  for (const status of [520, 522, 524, 527]) {
    expect(() => passOrThrow(answer(status))).toThrow(`${status}`)
    expect(() => passOrThrow(answer(status))).not.toThrow(NotSent)
  }
  expect(() => passOrThrow(answer(524))).toThrow(NotAnswered)
  expect(() => passOrThrow(answer(522))).not.toThrow(NotAnswered)
})

test('what the gateway says is its answer, whatever the status', () => {
  for (const status of [200, 404, 500, 503, 521]) {
    const own = answer(status, { 'x-request-id': 'id' })
    expect(passOrThrow(own)).toBe(own)
  }
  expect(passOrThrow(answer(503)).status).toBe(503)
})
