import { expect, it } from 'vitest'
import { reply } from './reply.ts'

const bytesOf = async (body: Uint8Array) => Buffer.from(await reply(200, {}, body).arrayBuffer())

it.each([
  ['text', Buffer.from('{"a":"é😀"}')],
  ['text with a byte order mark', Buffer.from('\ufeff{"a":1}')],
  ['a character cut in two', Buffer.from('é').subarray(0, 1)],
  ['any bytes', Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  ['more text than goes out in one piece', Buffer.from('é'.repeat(10_000))],
  ['a view into a larger buffer', Buffer.from('xxhelloxx').subarray(2, 7)],
  ['nothing', Buffer.alloc(0)],
])('sends %s as it is', async (_, body) => {
  expect((await bytesOf(body)).equals(body)).toBe(true)
})
