/** Changes top-level fields of a JSON body, touching no more of its bytes than it must. */
const encoder = new TextEncoder()
const openBrace = 0x7b

export interface JsonText {
  bytes: Uint8Array
  value: Record<string, unknown>
  /** A key stands twice, so the bytes and the value may not mean the same. */
  ambiguous: boolean
}

/**
 * Fields that the body lacks are put in front of the others, in the bytes: what the caller wrote, large integers
 * included, goes out as it came. An undefined field is left out. Only where a field is already there is the body written anew from its value.
 */
export function rewriteBody({ bytes, value, ambiguous }: JsonText, fields: Record<string, unknown>): Uint8Array {
  const names = Object.keys(fields).filter((name) => fields[name] !== undefined || Object.hasOwn(value, name))
  if (ambiguous || names.some((name) => Object.hasOwn(value, name))) {
    return encoder.encode(JSON.stringify({ ...value, ...fields }))
  }
  if (names.length === 0) return bytes
  const brace = bytes.indexOf(openBrace) + 1
  const comma = Object.keys(value).length > 0 ? ',' : ''
  const added = encoder.encode(JSON.stringify(fields).slice(1, -1) + comma)
  const out = new Uint8Array(bytes.length + added.length)
  out.set(bytes.subarray(0, brace))
  out.set(added, brace)
  out.set(bytes.subarray(brace), brace + added.length)
  return out
}
