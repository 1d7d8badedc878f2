/**
 * Reads a form with a file in it within bounds, and tells what the gateway itself needs of it; the bytes travel on as
 * they came. The platform parses it, after the number of its parts and the length of their headers were checked in the
 * bytes: those alone could stop the event loop for seconds.
 */
import { ApiError } from '../errors.ts'
import type { BodyBudget } from './body-budget.ts'
import { type AppContext, header } from './request-context.ts'

export interface FormBody {
  /** As it came. */
  bytes: Uint8Array
  /** With the boundary. */
  contentType: string
  /** The text fields; of one that stands several times, the last. */
  fields: Record<string, string>
  /** Names of the fields that hold a file. */
  files: string[]
}

export type ReadForm = (c: AppContext) => Promise<FormBody>

/** OpenAI takes files of 25 MB; the rest is for the other fields. */
const maxBytes = 26 * 1024 * 1024
/** The end counted too. */
const maxParts = 100
const maxPartHeaderBytes = 8 * 1024
const formType = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\\]{1,70})"|([^\s;,"]{1,70}))\s*(?:;|$)/i
/** What the gateway goes by must not mean one thing here and another at the provider. */
const single = ['model', 'file', 'stream', 'response_format', 'store', 'background']
const encoder = new TextEncoder()

export const createReadForm = (bodies: BodyBudget): ReadForm =>
  async function readForm(c) {
    const contentType = header(c, 'content-type') ?? ''
    if (!formType.test(contentType)) {
      throw new ApiError('unsupported_media_type', {
        message: 'Send the body as "Content-Type: multipart/form-data; boundary=…".',
      })
    }
    return parseFormBody(await bodies.read(c, maxBytes), contentType)
  }

/** @throws ApiError where it is no form with one `file` and one `model`. */
export async function parseFormBody(bytes: Uint8Array, contentType: string): Promise<FormBody> {
  checkShape(bytes, delimiterOf(contentType))
  const form = await parse(bytes, contentType)
  for (const name of single) {
    if (form.getAll(name).length > 1) throw bad(name, `${name}: stands more than once. Send it once.`)
  }
  const file = form.get('file')
  if (file === null) throw bad('file', 'file: is missing. Send the audio as a file.')
  if (typeof file === 'string') throw bad('file', 'file: is text. Send it as a file, with a filename.')
  const model = form.get('model')
  if (typeof model !== 'string' || model === '') throw bad('model', 'model: is missing. Send the name of a model.')

  const fields: [string, string][] = []
  const files: string[] = []
  for (const [name, value] of form) {
    if (typeof value === 'string') fields.push([name, value])
    else files.push(name)
  }
  return { bytes, contentType, fields: Object.fromEntries(fields), files }
}

/** What stands between the delimiters, which a client chooses anew each time. */
export function partsOf({ bytes, contentType }: Pick<FormBody, 'bytes' | 'contentType'>): Uint8Array[] {
  const delimiter = delimiterOf(contentType)
  const parts: Uint8Array[] = []
  let from: number | undefined
  for (let line = 0; line !== -1; line = nextLine(bytes, line)) {
    if (!startsWith(bytes, delimiter, line)) continue
    if (from !== undefined) parts.push(bytes.subarray(from, line))
    from = line + delimiter.length
  }
  return parts
}

function delimiterOf(contentType: string): Uint8Array {
  const [, quoted, plain] = formType.exec(contentType) ?? []
  return encoder.encode(`--${quoted ?? plain}`)
}

/** A response that nobody is sent: the web's own parser of forms hangs on it. */
async function parse(bytes: Uint8Array, contentType: string): Promise<FormData> {
  try {
    return await new Response(bytes as BodyInit, { headers: { 'content-type': contentType } }).formData()
  } catch {
    // The platform's words may quote the body.
    throw unreadable()
  }
}

const lineFeed = 0x0a
const carriageReturn = 0x0d
const hyphen = 0x2d
const walkedBytes = 32

/** Each part begins on a line of its own with the delimiter; its headers end with an empty line. */
function checkShape(bytes: Uint8Array, delimiter: Uint8Array) {
  let parts = 0
  for (let line = 0; line !== -1; line = nextLine(bytes, line)) {
    if (!startsWith(bytes, delimiter, line)) continue
    if (++parts > maxParts) throw bad(undefined, `The form has too many parts. Send at most ${maxParts - 1}.`)
    const after = line + delimiter.length
    const isEnd = bytes[after] === hyphen && bytes[after + 1] === hyphen
    if (!isEnd && !headersEnd(bytes, after)) throw unreadable()
  }
}

/** Where the next line begins. Bytes close by are walked: a search for each of many short lines takes far longer. */
function nextLine(bytes: Uint8Array, from: number): number {
  for (let i = from; i < from + walkedBytes; i++) if (bytes[i] === lineFeed) return i + 1
  const end = bytes.indexOf(lineFeed, from + walkedBytes)
  return end === -1 ? -1 : end + 1
}

function headersEnd(bytes: Uint8Array, from: number): boolean {
  let line = nextLine(bytes, from)
  for (const most = from + maxPartHeaderBytes; line !== -1 && line < most; line = nextLine(bytes, line)) {
    if (bytes[line] === carriageReturn && bytes[line + 1] === lineFeed) return true
  }
  return false
}

function startsWith(bytes: Uint8Array, text: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false
  return true
}

const bad = (param: string | undefined, message: string) =>
  new ApiError('invalid_body', { message, ...(param && { param }) })
const unreadable = () =>
  bad(undefined, 'The body is not a readable form. Send multipart/form-data with the boundary of its Content-Type.')
