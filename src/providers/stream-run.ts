/**
 * Reads the events of a streamed completion that differ from one before in the text they add and in nothing else, which
 * are nearly all of them, many at a time and without parsing them: what stands around the text is compared, letter by
 * letter. Reading each by itself was half of what a stream cost.
 */
import { isEmpty, type StreamChoice, type StreamChunk } from './openai-stream.ts'

/** Several events in a row, each with a piece of the same text. */
export interface StreamRun {
  kind: 'run'
  /** As they came, with the lines between them. */
  raw: string
  choice: number
  /** Of the choice's `delta`. */
  field: string
  pieces: readonly string[]
  /** What the event with one of the pieces says, but for padding. */
  chunkOf(piece: string): StreamChunk
  /** As they came, without the `usage` that says nothing; undefined where that takes parsing. */
  withoutUsage(): string | undefined
}

export interface Runs {
  /** The events from `at` on, where one begins, that need no parsing, and where they end. */
  read(text: string, at: number): { event: StreamRun; end: number } | undefined
  /** Of an event that was parsed. */
  learn(text: string, chunk: StreamChunk): void
}

/** What stands around the text of an event. */
interface Mould {
  before: string
  /** Some follow the text by padding of random length (`obfuscation`); this stands between them. */
  between: string | undefined
  after: string
  chunk: StreamChunk
  choice: StreamChoice
  field: string
  /** Which part of it to write otherwise, and how, to leave out `usage`; undefined = not known. */
  unused: { part: string; without: string } | undefined
}

/** What a model says: pieces of it are joined. */
export const textFields: ReadonlySet<string> = new Set(['content', 'refusal', 'reasoning_content', 'reasoning'])

/** Looking for one costs two more parses; a stream whose events differ in more ways than these is parsed. */
const maxMoulds = 8
/** Longer events are rare. */
const maxMouldChars = 4096
const textMark = 'the-text'
const paddingMark = 'the-padding'
/** Stands for itself in JSON. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what JSON allows in no string.
const plain = /^[^"\\\x00-\x1f]*$/
const padding = /^[\w+/=-]*$/
/** From there on a piece is no copy but holds on to the text it was cut from. */
const copiedBelow = 13

export function createRuns(): Runs {
  let mould: Mould | undefined
  let made = 0
  /** Several have come together. Where they come one by one a mould saves little, and thousands of slow streams hold one each. */
  let wanted = false
  return {
    read(text, at) {
      wanted ||= at > 0
      return mould && readRun(mould, text, at)
    },
    learn(text, chunk) {
      // One of several lines has others before each of them.
      if (!wanted || made >= maxMoulds || text.length > maxMouldChars || text.includes('\n')) return
      const field = textFieldOf(chunk)
      if (field === undefined) return
      made++
      mould = mouldOf(text, chunk, field)
    },
  }
}

function readRun(mould: Mould, text: string, at: number): { event: StreamRun; end: number } | undefined {
  const { before, after } = mould
  const pieces: string[] = []
  let end = at
  // Cut out and compared as a whole, which is faster than `startsWith` by half.
  while (text.slice(end, end + before.length) === before) {
    const eventEnd = text.indexOf('\n\n', end + before.length)
    if (eventEnd < 0 || text.slice(eventEnd - after.length, eventEnd) !== after) break
    const piece = pieceOf(mould, text, end + before.length, eventEnd - after.length)
    if (piece === undefined) break
    pieces.push(piece)
    end = eventEnd + 2
  }
  if (pieces.length === 0) return undefined
  const { chunk, choice, field, unused } = mould
  const event: StreamRun = {
    kind: 'run',
    raw: text.slice(at, end),
    choice: choice.index ?? 0,
    field,
    pieces,
    chunkOf: (piece) => ({ ...chunk, choices: [{ ...choice, delta: { ...choice.delta, [field]: piece } }] }),
    withoutUsage() {
      if (!('usage' in chunk)) return event.raw
      // No text can hold the part: quotes within a text have a backslash before them.
      return unused && event.raw.replaceAll(unused.part, () => unused.without)
    },
  }
  return { event, end }
}

function pieceOf({ between }: Mould, text: string, from: number, to: number): string | undefined {
  let end = to
  if (between !== undefined) {
    // Within the event: a search through all that came before it would be one through the chunk, for each of its events.
    const at = text.slice(from, to).lastIndexOf(between)
    if (at < 0 || !padding.test(text.slice(from + at + between.length, to))) return undefined
    end = from + at
  }
  if (end <= from) return undefined
  const piece = text.slice(from, end)
  if (piece.length < copiedBelow && plain.test(piece)) return piece
  try {
    // A string in itself, so the event is what the mould is, with this text in it.
    return JSON.parse(`"${piece}"`)
  } catch {
    return undefined
  }
}

/** The only field with text of the only choice, where nothing but text may differ. */
function textFieldOf({ choices, usage }: StreamChunk): string | undefined {
  if (choices?.length !== 1 || usage) return undefined
  const { delta, finish_reason: finished, text } = choices[0]!
  if (finished || text || !delta) return undefined
  const [field, ...others] = Object.keys(delta).filter((name) => name !== 'role' && !isEmpty(delta[name]))
  const isText = field !== undefined && textFields.has(field) && typeof delta[field] === 'string'
  return isText && others.length === 0 ? field : undefined
}

function mouldOf(event: string, parsed: StreamChunk, field: string): Mould | undefined {
  const around = cut(`data: ${event}`, field)
  if (!around) return undefined
  const { before } = around
  const padded = cut(around.after, 'obfuscation')
  const parts = padded ? [before, padded.before, padded.after] : [before, around.after]
  const marks = padded ? [textMark, paddingMark, ''] : [textMark, '']
  const filled = (with_: readonly string[]) => with_.map((part, i) => part + marks[i]).join('')
  const same = JSON.parse(event)
  same.choices[0].delta[field] = textMark
  if (padded) same.obfuscation = paddingMark
  // Proven, not believed: with another text in that place it says that other text, and else the same.
  if (!says(filled(parts), same)) return undefined
  const { usage: _, ...rest } = same
  const { obfuscation: __, ...chunk } = parsed as StreamChunk & { obfuscation?: string }
  let unused: Mould['unused']
  for (const [i, part] of parts.entries()) {
    const without = part.replace(/,\s*"usage":\s*null|"usage":\s*null\s*,/, '')
    if (without !== part && says(filled(parts.with(i, without)), rest)) unused = { part, without }
  }
  return {
    before,
    between: padded?.before,
    after: parts.at(-1)!,
    chunk: padded ? chunk : parsed,
    choice: parsed.choices![0]!,
    field,
    unused,
  }
}

function says(line: string, value: unknown): boolean {
  try {
    return JSON.stringify(JSON.parse(line.slice('data: '.length))) === JSON.stringify(value)
  } catch {
    return false
  }
}

/** What stands before and after a field's text. */
function cut(text: string, field: string): { before: string; after: string } | undefined {
  const name = `${JSON.stringify(field)}:`
  const at = text.indexOf(name)
  if (at < 0) return undefined
  const open = text.indexOf('"', at + name.length)
  if (open < 0 || text.slice(at + name.length, open).trim() !== '') return undefined
  const start = open + 1
  let end = start
  while (text[end] !== '"') {
    if (end >= text.length) return undefined
    end += text[end] === '\\' ? 2 : 1
  }
  return { before: text.slice(0, start), after: text.slice(end) }
}
