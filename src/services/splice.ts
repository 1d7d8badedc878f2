/**
 * Joins another provider's answer to what a caller has been sent already, without a word doubled, lost or garbled.
 *
 * A restart begins from the front: nothing of it goes out before it has said exactly what was sent, and from there on
 * only what is new does. A continuation (of a trailing assistant message) begins where the other stopped; some servers
 * begin from the front all the same, which is found out the same way.
 */
import type { StreamChoice, StreamChunk } from '../providers/openai-stream.ts'
import { forEachPiece, type Transcript, toolChannel } from './transcript.ts'

export interface Splice {
  /** The chunks to be sent now: none while the answer is still being compared. `mismatch`: it says something else. */
  take(chunk: StreamChunk): StreamChunk[] | 'mismatch'
  /** Whether it says from the front what was sent; undefined = nobody can tell (yet). */
  readonly begins: 'anew' | 'onward' | undefined
}

/** A continuation that repeats so much of the beginning is no coincidence, but for an answer that repeats itself. */
const tellingChars = 24
const isTelling = (text: string) => text.length >= tellingChars && text.indexOf(text.slice(0, tellingChars), 1) < 0
/** Most chunks held back while comparing. */
const maxHeld = 10_000

/** Copies of what has been sent, taken once: the transcript grows while this joins on to it. */
const snapshot = ({ channels, seen, finished, id, created }: Transcript) => ({
  channels: new Map(channels),
  seen: new Set(seen),
  finished: new Map(finished),
  id,
  created,
})
type Sent = ReturnType<typeof snapshot>

export const spliceRestart = (transcript: Transcript) => restartOf(snapshot(transcript))

function restartOf(sent: Sent): Splice {
  const heard = new Map<string, number>()
  /** Channels of which some is still to be heard. */
  const open = new Set(sent.channels.keys())
  let held: StreamChunk[] = []

  /** The rest of a choice's chunk once what was sent is taken off; undefined = mismatch. */
  function rest(choice: StreamChoice): StreamChoice | undefined {
    const index = choice.index ?? 0
    const fresh = new Map<string, string>()
    let same = true
    const understood = forEachPiece(choice, (channel, text) => {
      const key = `${index}/${channel}`
      const before = sent.channels.get(key) ?? ''
      const at = heard.get(key) ?? 0
      // Two pieces of one channel in one event could not be taken apart again.
      if (fresh.has(channel)) same = false
      const repeated = before.slice(at, at + text.length)
      if (!text.startsWith(repeated)) same = false
      heard.set(key, at + text.length)
      if (at + text.length >= before.length) open.delete(key)
      fresh.set(channel, text.slice(repeated.length))
    })
    if (!understood || !same) return undefined

    const finishedAs = sent.finished.get(index)
    if (finishedAs !== undefined) {
      // It has ended for the caller: nothing may be added, and it must end again in the same way.
      for (const text of fresh.values()) if (text !== '') return undefined
      if (choice.finish_reason && choice.finish_reason !== finishedAs) return undefined
      return {}
    }
    if (choice.finish_reason) for (const key of open) if (key.startsWith(`${index}/`)) return undefined
    return trimmed(choice, index, fresh, sent)
  }

  return {
    begins: 'anew',
    take(chunk) {
      const choices: StreamChoice[] = []
      for (const choice of chunk.choices ?? []) {
        const left = rest(choice)
        if (!left) return 'mismatch'
        if (saysSomething(left)) choices.push(left)
      }
      if (choices.length > 0 || chunk.usage) held.push(renamed({ ...chunk, choices }, sent))
      if (held.length > maxHeld) return 'mismatch'
      if (open.size > 0) return []
      const out = held
      held = []
      return out
    },
  }
}

export function spliceContinuation(transcript: Transcript): Splice {
  const sent = snapshot(transcript)
  const channel = sent.channels.has('0/text') ? 'text' : 'content'
  const key = `0/${channel}`
  const before = sent.channels.get(key) ?? ''
  /** Compares with a restart for as long as it looks like one. */
  let restart = isTelling(before) ? restartOf({ ...sent, channels: new Map([[key, before]]) }) : undefined
  let held: StreamChunk[] = []
  let heard = ''
  const isRepeated = () => heard.length >= before.length

  const asItIs = (chunk: StreamChunk) => {
    const choices = chunk.choices?.map((choice) => trimmed(choice, choice.index ?? 0, nothing, sent))
    return renamed(choices ? { ...chunk, choices } : chunk, sent)
  }

  return {
    get begins() {
      if (restart) return isRepeated() ? 'anew' : undefined
      return isTelling(before) ? 'onward' : undefined
    },
    take(chunk) {
      if (!restart) return [asItIs(chunk)]
      if (isRepeated()) return restart.take(chunk)
      let differs = false
      let thinks = false
      for (const choice of chunk.choices ?? []) {
        forEachPiece(choice, (from, text) => {
          if (from === channel) heard += text
          else if (from.startsWith('reasoning')) thinks = true
          else differs = true
        })
        if (choice.finish_reason && !isRepeated()) differs = true
      }
      // Who thinks before he speaks may begin from the front, or where the other stopped: his thoughts are his own.
      if (thinks && heard === '' && !differs) return [asItIs(chunk)]
      if (thinks) differs = true
      const common = Math.min(heard.length, before.length)
      if (differs || heard.slice(0, common) !== before.slice(0, common)) {
        restart = undefined
        const out = [...held, chunk].map(asItIs)
        held = []
        return out
      }
      held.push(chunk)
      return restart.take(chunk)
    },
  }
}

const nothing: ReadonlyMap<string, string> = new Map()

/** Without what the caller has had: the role, a tool call's id and name, and what `fresh` tells to be repeated. */
function trimmed(
  choice: StreamChoice,
  index: number,
  fresh: ReadonlyMap<string, string>,
  { seen, channels }: Sent,
): StreamChoice {
  const out: StreamChoice = { ...choice }
  const textOf = (channel: string, text: unknown) => fresh.get(channel) ?? text
  if (typeof choice.text === 'string') out.text = textOf('text', choice.text) as string
  if (!choice.delta) return out
  const delta: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(choice.delta)) {
    if (name === 'role' && seen.has(index)) continue
    if (name !== 'tool_calls' || !Array.isArray(value)) delta[name] = textOf(name, value)
    else {
      const calls = value.flatMap((call) => trimmedCall(call, index, fresh, channels))
      if (calls.length > 0) delta.tool_calls = calls
    }
  }
  out.delta = delta
  return out
}

interface ToolCallDelta {
  index: number
  id?: string
  type?: string
  function?: { name?: string; arguments?: string }
}

function trimmedCall(
  call: ToolCallDelta,
  choice: number,
  fresh: ReadonlyMap<string, string>,
  sent: Sent['channels'],
): ToolCallDelta[] {
  if (!sent.has(`${choice}/${toolChannel(call.index, 'name')}`)) return [call]
  const name = fresh.get(toolChannel(call.index, 'name'))!
  const text = fresh.get(toolChannel(call.index, 'arguments'))!
  if (name + text === '') return []
  return [{ index: call.index, function: { ...(name && { name }), arguments: text } }]
}

const saysSomething = ({ text, delta, finish_reason }: StreamChoice) =>
  Boolean(finish_reason || text) || Object.values(delta ?? {}).some((value) => value !== '' && value !== null)

/** One answer has one id. The model stays that of the provider which goes on. */
const renamed = (chunk: StreamChunk, { id, created }: Sent): StreamChunk => ({
  ...chunk,
  ...(id !== undefined && { id }),
  ...(created !== undefined && { created }),
})
