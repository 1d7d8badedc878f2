/** JSON as bytes: what can be said of it without parsing it. */

const quote = 0x22
const backslash = 0x5c
const walkedBytes = 32

/**
 * The index of the closing quote of a string; `from` is behind the opening one. Long strings, which prompts are, are
 * skipped by the platform's own search; short ones and those full of escapes are walked, since a search at each quote
 * would take several times as long as the parsing.
 */
export function endOfString(bytes: Uint8Array, from: number): number {
  let i = from
  for (;;) {
    for (const stop = Math.min(i + walkedBytes, bytes.length); i < stop; i++) {
      if (bytes[i] === quote) return i
      if (bytes[i] === backslash) i++
    }
    const end = bytes.indexOf(quote, i)
    if (end === -1) return bytes.length
    let slashes = 0
    while (end - slashes > i && bytes[end - 1 - slashes] === backslash) slashes++
    if (slashes % 2 === 0) return end
    i = end + 1
  }
}

export interface Member {
  name: string
  /** Behind the brace or comma before it. */
  from: number
  /** Where the comma or brace after it stands. */
  to: number
}

const comma = 0x2c
const opening = new Set([0x7b, 0x5b])
const closing = new Set([0x7d, 0x5d])
const decoder = new TextDecoder()

/** Of an object that is known to be JSON; `start` is behind its opening brace. */
export function membersOf(bytes: Uint8Array, start: number): Member[] {
  const members: Member[] = []
  let depth = 0
  let from = start
  let name: string | undefined
  const end = (to: number) => {
    if (name !== undefined) members.push({ name, from, to })
    name = undefined
    from = to + 1
  }
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === quote) {
      const close = endOfString(bytes, i + 1)
      if (depth === 0) name ??= JSON.parse(decoder.decode(bytes.subarray(i, close + 1))) as string
      i = close
    } else if (opening.has(byte)) depth++
    else if (closing.has(byte) && depth-- === 0) {
      end(i)
      break
    } else if (byte === comma && depth === 0) end(i)
  }
  return members
}
