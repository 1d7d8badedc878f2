/** Changes top-level fields of a JSON body, touching no more of its bytes than it must. */
import { joined } from '../domain/joined.ts'
import { membersOf } from '../domain/json-bytes.ts'

const encoder = new TextEncoder()
const openBrace = 0x7b
const comma = encoder.encode(',')

export interface JsonText {
  bytes: Uint8Array
  value: Record<string, unknown>
  /** A key stands twice, so the bytes and the value may not mean the same. */
  ambiguous: boolean
}

/**
 * The fields are put in front of the others, and those that were there before are cut out: all else that the caller
 * wrote, large integers included, goes out as it came. An undefined field is left out. An ambiguous body is written anew.
 */
export function rewriteBody({ bytes, value, ambiguous }: JsonText, fields: Record<string, unknown>): Uint8Array {
  if (ambiguous) return encoder.encode(JSON.stringify({ ...value, ...fields }))
  const names = Object.keys(fields)
  const isCut = names.some((name) => Object.hasOwn(value, name))
  if (!isCut && names.every((name) => fields[name] === undefined)) return bytes
  const start = bytes.indexOf(openBrace) + 1
  const members = isCut ? membersOf(bytes, start) : []
  const end = members.at(-1)?.to ?? start

  const runs: Uint8Array[] = []
  let from = start
  for (const member of members) {
    if (!Object.hasOwn(fields, member.name)) continue
    if (member.from > from) runs.push(bytes.subarray(from, member.from - 1))
    from = member.to + 1
  }
  if (from < end) runs.push(bytes.subarray(from, end))
  const added = encoder.encode(JSON.stringify(fields).slice(1, -1))
  if (added.length > 0) runs.unshift(added)
  // Where nothing is cut the others follow as they are.
  const isFollowed = !isCut && Object.keys(value).length > 0
  return joined([
    bytes.subarray(0, start),
    ...runs.flatMap((run, i) => (i === 0 ? [run] : [comma, run])),
    ...(isFollowed ? [comma] : []),
    bytes.subarray(end),
  ])
}
