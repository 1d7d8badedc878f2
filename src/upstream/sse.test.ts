import { expect, it } from 'vitest'
import { readEvents } from './sse.ts'

const encoder = new TextEncoder()

async function read(chunks: (string | Uint8Array)[], maxEventChars?: number): Promise<string[][]> {
  async function* body() {
    for (const chunk of chunks) yield typeof chunk === 'string' ? encoder.encode(chunk) : chunk
  }
  const batches: string[][] = []
  for await (const events of readEvents(body(), ({ data }) => data, { maxEventChars })) batches.push(events)
  return batches
}

it('gives the events that each chunk completes, and nothing for a chunk that completes none', async () => {
  expect(await read(['data: a\n\ndata: b\n\nda', 'ta: c', '\n\n', ': comment\n\n'])).toEqual([['a', 'b'], ['c']])
})

it.each(['\n', '\r\n', '\r'])('takes the line ending %j, wherever the network cuts', async (end) => {
  const bytes = encoder.encode(
    `: hello${end}event: x${end}data: ä${end}data: 😀${end}id: 7${end}${end}data: last${end}${end}: end${end}`,
  )
  for (let cut = 0; cut <= bytes.length; cut++) {
    const events = (await read([bytes.slice(0, cut), bytes.slice(cut)])).flat()
    expect(events, `cut at ${cut}`).toEqual(['ä\n😀', 'last'])
  }
})

it('drops an event that the end of the body left incomplete', async () => {
  expect(await read(['data: a\n\ndata: b\n'])).toEqual([['a']])
})

it('refuses an event without end instead of keeping all of it', async () => {
  await expect(read(['data: ', 'x'.repeat(600), 'x'.repeat(600)], 1_000)).rejects.toMatchObject({ kind: 'too_large' })
  await expect(read(Array(200).fill('data: 12345678\n'), 1_000)).rejects.toMatchObject({ kind: 'too_large' })
})

it('refuses an event without end as such, whatever follows it in the same chunk', async () => {
  async function* body() {
    yield encoder.encode(`data: ${'x'.repeat(600)}`)
    yield encoder.encode(`${'x'.repeat(600)}\ndata: y\n\ndata: z\n\n`)
  }
  const readMany = () => undefined
  const events = readEvents(body(), ({ data }) => data, { maxEventChars: 1_000, readMany })
  await expect(Array.fromAsync(events)).rejects.toMatchObject({ kind: 'too_large' })
})

it('closes the body when its reader leaves, and passes on the body’s own end', async () => {
  let closed = 0
  async function* body() {
    try {
      yield encoder.encode('data: a\n\n')
      yield encoder.encode('data: b\n\n')
      throw new Error('cut')
    } finally {
      closed++
    }
  }
  for await (const _ of readEvents(body(), ({ data }) => data)) break
  expect(closed).toBe(1)
  await expect(Array.fromAsync(readEvents(body(), ({ data }) => data))).rejects.toThrow('cut')
  expect(closed).toBe(2)
})
