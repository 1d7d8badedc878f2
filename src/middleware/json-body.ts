/**
 * Reads a JSON body within bounds. Depth, keys and values are counted in the bytes, before anything is parsed: a small
 * body can be nested so deeply, or hold so many, that parsing it alone would stop the event loop or fill the memory.
 */
import { endOfString } from '../domain/json-bytes.ts'
import { ApiError } from '../errors.ts'
import type { BodyBudget } from './body-budget.ts'
import { type AppContext, header } from './request-context.ts'

export interface JsonBody {
  /** As it came, but for a byte order mark. */
  bytes: Uint8Array
  value: Record<string, unknown>
  /** A key stands twice in an object: readers disagree on which counts, so the bytes must not travel on. */
  ambiguous: boolean
}

/** `none`: what a body without a byte is taken for. @default it is refused */
export type ReadJson = (c: AppContext, none?: JsonBody) => Promise<JsonBody>

const maxJsonBytes = 20 * 1024 * 1024
const maxDepth = 64
const maxKeys = 50_000
/** Objects and lists: each takes some fifty bytes where it was written with three. */
const maxContainers = 50_000
/** Vectors and lists of tokens are long. */
const maxValues = 500_000
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function createReadJson(bodies: BodyBudget, maxBytes = maxJsonBytes): ReadJson {
  return async function readJson(c, none) {
    const isJson = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(header(c, 'content-type') ?? '')
    if (!isJson && !none) throw new ApiError('unsupported_media_type')
    const bytes = await bodies.read(c, maxBytes)
    if (none && bytes.length === 0) return none
    if (!isJson) throw new ApiError('unsupported_media_type')
    return parseJsonBody(bytes)
  }
}

/** The body's value; `{}` where there is no body. */
export async function valueOrNone(c: AppContext, readJson: ReadJson): Promise<Record<string, unknown>> {
  if (Number(header(c, 'content-length') ?? 0) > 0) return (await readJson(c)).value
  if (header(c, 'transfer-encoding') === undefined) return {}
  // Some clients and proxies announce chunks and send none.
  return (await readJson(c, { bytes: new Uint8Array(), value: {}, ambiguous: false })).value
}

/** @throws ApiError where the bytes are not one JSON object within bounds. */
export function parseJsonBody(received: Uint8Array): JsonBody {
  const bytes = withoutMark(received)
  const keys = checkShape(bytes)
  let value: unknown
  try {
    value = JSON.parse(decoder.decode(bytes))
  } catch (error) {
    throw new ApiError('invalid_json', {
      message: `The body is not valid JSON${position(error)}. Send one JSON object.`,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ApiError('invalid_body', { message: 'The body must be a JSON object, as in {"model": "…"}.' })
  }
  const object = value as Record<string, unknown>
  return { bytes, value: object, ambiguous: keysIn(object) !== keys }
}

/** Some editors and libraries put one in front; a reader may pass over it (RFC 8259, 8.1), and many providers do not. */
const withoutMark = (bytes: Uint8Array) =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes

function keysIn(value: object): number {
  let keys = 0
  const add = (inner: unknown) => {
    if (typeof inner === 'object' && inner !== null) keys += keysIn(inner)
  }
  if (Array.isArray(value)) for (const inner of value) add(inner)
  else {
    for (const name in value) {
      keys++
      add((value as Record<string, unknown>)[name])
    }
  }
  return keys
}

const quote = 0x22
const colon = 0x3a
const comma = 0x2c

/** Counts depth, containers, keys (colons outside strings) and values (commas); answers the number of keys. */
function checkShape(bytes: Uint8Array): number {
  let depth = 0
  let keys = 0
  let containers = 0
  let values = 1
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (byte === quote) {
      i = endOfString(bytes, i + 1)
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth) throw new ApiError('body_too_deep')
      if (++containers > maxContainers) throw new ApiError('body_too_many_values')
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--
    } else if (byte === comma) {
      if (++values > maxValues) throw new ApiError('body_too_many_values')
    } else if (byte === colon) {
      if (++keys > maxKeys) throw new ApiError('body_too_many_keys')
    }
  }
  return keys
}

/** Where the parser stopped. Its own message may quote the body, which must not come back in an error or a log. */
function position(error: unknown): string {
  const found = / at position (\d+)(?: \(line \d+ column \d+\))?$/.exec(error instanceof Error ? error.message : '')
  return found ? ` (at character ${found[1]})` : ''
}
