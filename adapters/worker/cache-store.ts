/**
 * Stored answers in the runtime's Cache API, which all isolates of a place share. It keeps one entry for a URL, so all
 * variants are in it; when it is fresh is our own question, so it is told to keep them for long.
 */
import type { HttpCacheStore, StoredResponse } from '../../src/cache/http/http-cache.ts'

/** No host has this name (RFC 2606), so no request of a caller has these URLs. */
const entryUrl = (key: string) => `https://edge.invalid/entry/${encodeURIComponent(key)}`
const purgeUrl = (tag: string) => `https://edge.invalid/purged/${encodeURIComponent(tag)}`
const keepFor = { 'cache-control': 'public, max-age=86400' }

/** What stands before the bodies. */
type Head = (Omit<StoredResponse, 'body'> & { length: number })[]

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function createCacheApiStore(cache: Cache): HttpCacheStore {
  return {
    async get(key) {
      const found = await cache.match(entryUrl(key))
      return found ? unpack(new Uint8Array(await found.arrayBuffer())) : []
    },
    async put(key, variants) {
      await cache.put(entryUrl(key), new Response(pack(variants), { headers: keepFor }))
    },
    async delete(key) {
      await cache.delete(entryUrl(key))
    },
    async purge(tag, at) {
      await cache.put(purgeUrl(tag), new Response(String(at), { headers: keepFor }))
    },
    async purgedAt(tags) {
      const times = await Promise.all(
        tags.map(async (tag) => Number((await (await cache.match(purgeUrl(tag)))?.text()) ?? 0)),
      )
      return Math.max(0, ...times)
    },
  }
}

const lengthBytes = 4

export function pack(variants: readonly StoredResponse[]): Uint8Array<ArrayBuffer> {
  const head: Head = variants.map(({ body, ...rest }) => ({ ...rest, length: body.length }))
  const text = encoder.encode(JSON.stringify(head))
  const bytes = new Uint8Array(lengthBytes + text.length + variants.reduce((sum, { body }) => sum + body.length, 0))
  new DataView(bytes.buffer).setUint32(0, text.length)
  bytes.set(text, lengthBytes)
  let at = lengthBytes + text.length
  for (const { body } of variants) {
    bytes.set(body, at)
    at += body.length
  }
  return bytes
}

export function unpack(bytes: Uint8Array): StoredResponse[] {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  let at = lengthBytes + length
  const head = JSON.parse(decoder.decode(bytes.subarray(lengthBytes, at))) as Head
  return head.map(({ length: bodyLength, ...rest }) => {
    const body = bytes.subarray(at, at + bodyLength)
    at += bodyLength
    return { ...rest, body }
  })
}
