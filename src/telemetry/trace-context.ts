/**
 * W3C Trace Context: the headers by which a trace goes on from one service to the next.
 * Source: www.w3.org/TR/trace-context (level 1) and its level 2 draft, for the random flag.
 */

export interface TraceContext {
  /** 32 hexadecimal digits. */
  traceId: string
  /** Of the caller's span, 16 hexadecimal digits. */
  parentId: string
  sampled: boolean
  /** The trace id was drawn at random. */
  random: boolean
}

const sampledFlag = 1
const randomFlag = 2
const shape = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/
const zeros = /^0+$/

/** Undefined: it is not valid, and the trace begins here. Two headers of this name arrive as one that is not valid. */
export function parseTraceparent(text: string | undefined): TraceContext | undefined {
  const [, version, traceId = '', parentId = '', flags = '', more] = shape.exec(text ?? '') ?? []
  if (version === undefined || version === 'ff' || zeros.test(traceId) || zeros.test(parentId)) return undefined
  // A later version may say more after a dash; this one ends here.
  if (version === '00' && more !== undefined) return undefined
  const bits = Number.parseInt(flags, 16)
  return { traceId, parentId, sampled: (bits & sampledFlag) !== 0, random: (bits & randomFlag) !== 0 }
}

/** In the version that we speak; flags that it does not know go out as zero. */
export function formatTraceparent({ traceId, parentId, sampled, random }: TraceContext): string {
  const flags = (sampled ? sampledFlag : 0) + (random ? randomFlag : 0)
  return `00-${traceId}-${parentId}-0${flags}`
}

const key = /^[a-z\d][a-z\d_\-*/@]{0,255}$/
const value = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const maxMembers = 32
/** What must be handed on; of a longer list the long members go first, then the last ones. */
const maxChars = 512
const longMember = 128

/** What other vendors add, as it is to be handed on. Undefined: there is none, or it is not valid, and is dropped whole. */
export function parseTracestate(text: string | undefined): string | undefined {
  // Where it was cut short, nothing could be told from the rest.
  if (text === undefined || text.length > 16 * maxChars) return undefined
  const members = text
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '')
  const keys = members.map((member) => member.slice(0, Math.max(member.indexOf('='), 0)))
  if (members.length === 0 || members.length > maxMembers || new Set(keys).size < keys.length) return undefined
  const areValid = members.every((member, i) => key.test(keys[i]!) && value.test(member.slice(keys[i]!.length + 1)))
  if (!areValid) return undefined
  let kept = members
  if (kept.join(',').length > maxChars) kept = kept.filter((member) => member.length <= longMember)
  while (kept.join(',').length > maxChars) kept = kept.slice(0, -1)
  return kept.length > 0 ? kept.join(',') : undefined
}
