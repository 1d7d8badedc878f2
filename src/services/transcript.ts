/**
 * What a caller has been sent of a streamed completion, so that another provider can go on with it: the text of each
 * channel (content, refusal, a tool call's arguments...) of each choice, and which choices have finished.
 */
import { isEmpty, type StreamChoice, type StreamChunk, speaks } from '../providers/openai-stream.ts'
import { type StreamRun, textFields } from '../providers/stream-run.ts'

/** Why an answer cannot be gone on with by another provider. */
export type Obstacle = 'too_long' | 'unknown_field' | 'logprobs'

/** A piece of text of one channel of a choice, as in `content` or `tool_calls.0.arguments`. */
export type OnPiece = (channel: string, text: string) => void

/** Characters that the transcripts of all streams hold together. */
export class TranscriptMemory {
  readonly maxChars: number
  chars = 0
  constructor(maxChars: number) {
    this.maxChars = maxChars
  }
}

const maxChars = 256 * 1024
/** What a channel takes besides its text: a provider that opens one after the other is bounded, too. */
const channelChars = 64
/** Nobody asks for more; what is beyond is not listened to. */
const maxChoices = 1_024

export class Transcript {
  /** By `<choice>/<channel>`. */
  readonly channels = new Map<string, string>()
  readonly seen = new Set<number>()
  readonly finished = new Map<number, string>()
  /** Events with text: about as many tokens. */
  tokens = 0
  obstacle: Obstacle | undefined = undefined
  /** Of the first event; the whole answer keeps it. */
  id: string | undefined = undefined
  created: number | undefined = undefined
  private chars = 0
  private readonly memory: TranscriptMemory
  private readonly choices: number

  /** `choices`: how many were asked for. */
  constructor(memory: TranscriptMemory, choices: number) {
    this.memory = memory
    this.choices = choices
  }

  add({ id, created, choices }: StreamChunk) {
    this.id ??= id
    this.created ??= created
    if (!choices) return
    for (const choice of choices) {
      const index = choice.index ?? 0
      if (this.seen.size >= maxChoices && !this.seen.has(index)) continue
      this.seen.add(index)
      if (this.obstacle === undefined) this.keep(choice, index)
      else if (speaks(choice)) this.tokens++
      if (choice.finish_reason) this.finished.set(index, choice.finish_reason)
    }
  }

  addRun({ choice, field, pieces }: StreamRun) {
    if (this.seen.size >= maxChoices && !this.seen.has(choice)) return
    this.seen.add(choice)
    this.tokens += pieces.length
    this.note(choice, field, pieces.join(''))
  }

  /**
   * Every choice has said why it finished. `toldSo`: the provider has said that no more is to come, as those do that
   * give fewer choices than asked for; without that word, a choice that has not begun is a choice that is missing.
   */
  isWhole(toldSo: boolean): boolean {
    const { seen, finished } = this
    return seen.size > 0 && finished.size === seen.size && (toldSo || seen.size >= this.choices)
  }

  /** Frees what the text took; nothing can be gone on with after that. */
  close() {
    this.memory.chars -= this.chars
    this.chars = 0
    this.channels.clear()
  }

  private keep(choice: StreamChoice, index: number) {
    let spoke = false
    const understood = forEachPiece(choice, (channel, text) => {
      this.note(index, channel, text)
      if (text !== '') spoke = true
    })
    if (spoke) this.tokens++
    if (!understood) this.giveUp('unknown_field')
    else if (!isEmpty(choice.logprobs)) this.giveUp('logprobs')
  }

  private note(index: number, channel: string, text: string) {
    if (this.obstacle !== undefined) return
    const key = `${index}/${channel}`
    const known = this.channels.get(key)
    const chars = text.length + (known === undefined ? channelChars : 0)
    this.channels.set(key, (known ?? '') + text)
    this.chars += chars
    this.memory.chars += chars
    if (this.chars > maxChars || this.memory.chars > this.memory.maxChars) this.giveUp('too_long')
  }

  private giveUp(obstacle: Obstacle) {
    this.obstacle = obstacle
    this.close()
  }
}

interface ToolCall {
  index?: number
  type?: unknown
  function?: { name?: unknown; arguments?: unknown }
}

/** Calls `onPiece` for all that a choice says; false where it says something whose meaning is not known. */
export function forEachPiece({ delta, text }: StreamChoice, onPiece: OnPiece): boolean {
  if (text) onPiece('text', text)
  for (const name in delta) {
    const value = delta[name]
    if (isEmpty(value) || name === 'role') continue
    if (textFields.has(name) && typeof value === 'string') onPiece(name, value)
    else if (name === 'tool_calls' && Array.isArray(value)) {
      for (const call of value) if (!toolPieces(call, onPiece)) return false
    } else return false
  }
  return true
}

function toolPieces(call: ToolCall | null, onPiece: OnPiece): boolean {
  if (typeof call?.index !== 'number') return false
  // What a custom tool is called with is text of another form, and would be taken for nothing.
  if ((call.type && call.type !== 'function') || 'custom' in call) return false
  const { name, arguments: text } = call.function ?? {}
  if (!isTextOrEmpty(name) || !isTextOrEmpty(text)) return false
  // A call that has only an id so far has begun all the same.
  onPiece(toolChannel(call.index, 'name'), name ?? '')
  onPiece(toolChannel(call.index, 'arguments'), text ?? '')
  return true
}

const isTextOrEmpty = (value: unknown): value is string | null | undefined => value == null || typeof value === 'string'

export const toolChannel = (index: number, part: 'name' | 'arguments') => `tool_calls.${index}.${part}`
