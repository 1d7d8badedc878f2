import { describe, expect, it } from 'vitest'
import { ApiError } from '../errors.ts'
import { HttpFailure } from '../ports.ts'
import { relayBytes } from './relay-bytes.ts'

const piece = (...bytes: number[]) => Uint8Array.from(bytes)

function relay(pieces: (Uint8Array | Error)[], signal = new AbortController().signal) {
  const told = { failed: 0, released: 0, interrupted: 0, ended: 0, closed: false }
  const rest = (async function* () {
    try {
      for (const next of pieces) {
        if (next instanceof Error) throw next
        yield next
      }
    } finally {
      told.closed = true
    }
  })()
  const out = relayBytes(
    { begun: piece(1, 2), rest },
    {
      hold: { release: () => void told.released++, failed: () => void told.failed++, abort() {} },
      signal,
      onInterrupted: () => void told.interrupted++,
      onEnd: () => void told.ended++,
    },
  )
  return { told, out }
}

describe('an answer of bytes', () => {
  it('comes as it was sent', async () => {
    const { told, out } = relay([piece(3), piece(255, 0)])
    expect(Buffer.concat(await Array.fromAsync(out))).toEqual(Buffer.from([1, 2, 3, 255, 0]))
    expect(told).toEqual({ failed: 0, released: 1, interrupted: 0, ended: 1, closed: true })
  })

  it('that breaks off does so for the caller too', async () => {
    const { told, out } = relay([piece(3), new HttpFailure('cut')])
    const read: Uint8Array[] = []
    await expect(
      (async () => {
        for await (const bytes of out) read.push(bytes)
      })(),
    ).rejects.toThrow('cut')
    expect(read).toHaveLength(2)
    expect(told).toEqual({ failed: 1, released: 1, interrupted: 1, ended: 1, closed: true })
  })

  it('that the gateway itself ends is no evidence; a caller’s own time has brought him what came in it', async () => {
    for (const [code, interrupted] of [
      ['deadline_exceeded', 0],
      ['stream_interrupted', 1],
    ] as const) {
      const { told, out } = relay([piece(3), new ApiError(code)])
      await expect(Array.fromAsync(out)).rejects.toMatchObject({ code })
      expect(told).toEqual({ failed: 0, released: 1, interrupted, ended: 1, closed: true })
    }
  })

  it('ends with no evidence when the caller leaves', async () => {
    const leaving = new AbortController()
    const { told, out } = relay([new HttpFailure('cut')], leaving.signal)
    await out.next()
    leaving.abort()
    expect(await out.next()).toEqual({ done: true, value: undefined })
    expect(told).toEqual({ failed: 0, released: 1, interrupted: 0, ended: 1, closed: true })
    const left = relay([piece(3)])
    await left.out.next()
    await left.out.next()
    await left.out.return(undefined)
    expect(left.told).toEqual({ failed: 0, released: 1, interrupted: 0, ended: 1, closed: true })
  })
})
