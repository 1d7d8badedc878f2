/**
 * Everything that can go wrong with a provider, whichever it is: each fault is a function from the vendor's answer to
 * another answer. A body that is not a stream counts its words (after spaces) as tokens, so every fault of a stream has
 * its meaning there too.
 */
import { gzipSync } from 'node:zlib'
import type { Answer, Outcome, Step } from './send.ts'
import type { SandboxCall } from './server.ts'
import { jsonAnswer, type Vendor } from './vendor.ts'

export type Fault = FaultKind & {
  match?: FaultMatch
  /** How many matching calls it applies to. @default all */
  times?: number
  /** Chance, 0 to 1, that it applies to a matching call; one that escapes does not use up `times`. @default 1 */
  probability?: number
}

interface FaultMatch {
  /** Part of the path and query. */
  path?: string
  model?: string
  method?: string
}

type FaultKind =
  /** The vendor's own error for the status unless `body` is given; `code` tells errors of one status apart. `retryAfter`: s. */
  | {
      kind: 'status'
      status: number
      code?: string
      body?: unknown
      headers?: Record<string, string>
      retryAfter?: number
    }
  /** RST before any header. */
  | { kind: 'reset' }
  /** Accepted and never answered. */
  | { kind: 'hang' }
  /** Done as it was asked, and the answer never comes: an RST instead, nothing at all, or the page of a proxy. */
  | { kind: 'swallow_reply'; instead?: 'reset' | 'hang' | 'html_502' }
  | { kind: 'slow_headers'; ms: number }
  /** Headers at once, then silence. An answer that is not a stream is late as a whole. */
  | { kind: 'slow_first_token'; ms: number }
  /** RST in the middle of the body. */
  | { kind: 'cut'; afterTokens: number }
  /** A properly framed end in the middle: no finish reason, no usage, no [DONE]. */
  | { kind: 'clean_cut'; afterTokens: number }
  | { kind: 'stall'; afterTokens: number; ms: number }
  /** The token with this number, counted from 1, comes as broken JSON. */
  | { kind: 'malformed_event'; atToken: number }
  /** Without the event that ends a stream: [DONE], or the one that says that the answer is complete. */
  | { kind: 'no_done' }
  /** 200, and the vendor's error as the body or as the only event. */
  | { kind: 'error_200'; status?: number; code?: string }
  | { kind: 'html_502' }
  | { kind: 'empty_204' }
  /** 200 with a line of text. */
  | { kind: 'not_json' }
  /** 200 with valid JSON of exactly this size. */
  | { kind: 'huge_body'; bytes: number }
  | { kind: 'slow_drip'; bytesPerSecond: number }
  /** The body falls short of its content-length, and the connection ends. */
  | { kind: 'short_length' }
  /** The body runs past its content-length. */
  | { kind: 'long_length' }
  /** Small on the wire, this large when decoded. */
  | { kind: 'gzip_bomb'; decodedBytes: number }
  | { kind: 'gzip_flag_without_gzip' }
  | { kind: 'redirect'; location: string }
  | { kind: 'big_headers'; bytes: number }
  /** Bytes that no UTF-8 text has, inside a JSON string. */
  | { kind: 'bad_utf8' }

interface FaultContext {
  /** What the vendor would have said. A fault that does not ask for it leaves the vendor untouched. */
  answer: () => Answer
  vendor: Vendor
}

type FaultTable = {
  [Kind in Fault['kind']]: (fault: Extract<FaultKind, { kind: Kind }>, context: FaultContext) => Outcome
}

const table: FaultTable = {
  status: ({ status, code, body, headers, retryAfter }, { vendor }) => {
    const error = vendor.error(status, code)
    const after = retryAfter === undefined ? undefined : { 'retry-after': String(retryAfter) }
    return {
      ...error,
      headers: { ...error.headers, ...after, ...headers },
      body: body === undefined ? error.body : typeof body === 'string' ? body : JSON.stringify(body),
    }
  },
  reset: () => 'reset',
  hang: () => 'hang',
  swallow_reply: ({ instead = 'reset' }, { answer }) => {
    answer()
    return instead === 'html_502' ? badGateway : instead
  },
  slow_headers: ({ ms }, { answer }) => late(answer(), ms),
  slow_first_token: ({ ms }, { answer }) => {
    const real = answer()
    return typeof real.body === 'string' ? late(real, ms) : { ...real, body: chain([{ waitMs: ms }], real.body) }
  },
  cut: ({ afterTokens }, { answer }) => replay(answer(), (steps) => chain(first(steps, afterTokens), ['reset'])),
  clean_cut: ({ afterTokens }, { answer }) => replay(answer(), (steps) => first(steps, afterTokens)),
  stall: ({ afterTokens, ms }, { answer }) => replay(answer(), (steps) => first(steps, afterTokens, { waitMs: ms })),
  malformed_event: ({ atToken }, { answer }) => replay(answer(), (steps) => garble(steps, atToken)),
  no_done: (_, { answer }) => replay(answer(), withoutDone),
  error_200: ({ status = 500, code }, { answer, vendor }) => {
    const real = answer()
    const error = vendor.error(status, code)
    if (!real.headers['content-type']?.startsWith('text/event-stream')) return { ...error, status: 200 }
    return { ...real, body: errorEvents(error.body, isTyped(real.body)) }
  },
  html_502: () => badGateway,
  empty_204: () => ({ status: 204, headers: {}, body: '' }),
  not_json: () => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: 'upstream is warming up' }),
  huge_body: ({ bytes }) => ({ ...jsonAnswer(200, null), body: hugeJson(bytes) }),
  slow_drip: ({ bytesPerSecond }, { answer }) => replay(answer(), (steps) => drip(steps, bytesPerSecond)),
  short_length: (_, { answer }) => misdeclare(answer(), 16, { connection: 'close' }),
  long_length: (_, { answer }) => misdeclare(answer(), -16),
  gzip_bomb: ({ decodedBytes }) => ({
    ...jsonAnswer(200, null, { 'content-encoding': 'gzip' }),
    // A gzip file may have any number of members (RFC 1952 section 2.2); repeating one needs no memory here.
    body: hugeJson(decodedBytes, gzipSync),
  }),
  gzip_flag_without_gzip: (_, { answer }) => withHeaders(answer(), { 'content-encoding': 'gzip' }),
  redirect: ({ location }) => ({ status: 307, headers: { location }, body: '' }),
  big_headers: ({ bytes }, { answer }) => withHeaders(answer(), { 'x-padding': 'p'.repeat(bytes) }),
  bad_utf8: (_, { answer }) => replay(answer(), spoil),
}

/** Keeps the faults in force, counts their use, and decides what a call meets. */
export function createFaults({ random, vendor }: { random: () => number; vendor: Vendor }) {
  let inForce: { fault: Fault; used: number }[] = []
  const strikes = ({ fault, used }: { fault: Fault; used: number }, call: SandboxCall) =>
    used < (fault.times ?? Number.POSITIVE_INFINITY) &&
    matches(fault.match, call) &&
    (fault.probability === undefined || random() < fault.probability)
  return {
    set(faults: readonly Fault[]) {
      inForce = faults.map((fault) => ({ fault, used: 0 }))
    },
    apply(call: SandboxCall, answer: () => Answer): Outcome {
      const struck = inForce.find((entry) => strikes(entry, call))
      if (!struck) return answer()
      struck.used += 1
      const run = table[struck.fault.kind] as (fault: Fault, context: FaultContext) => Outcome
      return run(struck.fault, { answer, vendor })
    },
  }
}

function matches(match: FaultMatch | undefined, call: SandboxCall): boolean {
  if (!match) return true
  return (
    call.path.includes(match.path ?? '') &&
    (match.model === undefined || match.model === call.model) &&
    (match.method === undefined || match.method === call.method)
  )
}

const badGateway: Answer = {
  status: 502,
  headers: { 'content-type': 'text/html' },
  body: `<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
<hr><center>nginx</center>\r
</body>\r
</html>\r
`,
}

const late = (answer: Answer, ms: number): Answer => ({ ...answer, delayMs: (answer.delayMs ?? 0) + ms })

const withHeaders = (answer: Answer, headers: Record<string, string>): Answer => ({
  ...answer,
  headers: { ...answer.headers, ...headers },
})

const replay = (answer: Answer, change: (steps: Iterable<Step>) => Iterable<Step>): Answer => ({
  ...answer,
  body: change(typeof answer.body === 'string' ? wordByWord(answer.body) : answer.body),
})

function misdeclare(answer: Answer, surplus: number, headers?: Record<string, string>): Answer {
  const body = typeof answer.body === 'string' ? answer.body : textOf(answer.body)
  const length = Math.max(0, Buffer.byteLength(body) + surplus)
  return withHeaders({ ...answer, body }, { ...headers, 'content-length': String(length) })
}

function textOf(steps: Iterable<Step>): string {
  const data = Array.from(steps, (step) => (step === 'reset' ? '' : (step.data ?? '')))
  return Buffer.concat(data.map((part) => Buffer.from(part as string))).toString()
}

/** The last byte is no token, so that a cut after any number of words leaves the body unfinished. */
function* wordByWord(body: string): Generator<Step> {
  for (const data of body.slice(0, -1).split(/(?= )/)) yield { data, kind: 'token' }
  yield { data: body.slice(-1) }
}

function* chain(...parts: Iterable<Step>[]): Generator<Step> {
  for (const part of parts) yield* part
}

const isToken = (step: Step) => step !== 'reset' && step.kind === 'token'
const isDone = (step: Step) => step !== 'reset' && step.kind === 'done'

/** A stream whose events have types tells an error as one of them, and has no [DONE]. */
function errorEvents(error: string, typed: boolean): Step[] {
  if (typed) return [{ data: `event: error\ndata: ${JSON.stringify({ type: 'error', ...JSON.parse(error) })}\n\n` }]
  return [{ data: `data: ${error}\n\n` }, { data: 'data: [DONE]\n\n', kind: 'done' }]
}

function isTyped(body: Answer['body']): boolean {
  const [first] = typeof body === 'string' ? [] : body
  return first !== undefined && first !== 'reset' && /^(?:event: |data: \{"type":)/.test(String(first.data))
}

/** The steps up to the point where `tokens` tokens are out; past it only when there is a `pause` to resume after. */
function* first(steps: Iterable<Step>, tokens: number, pause?: Step): Generator<Step> {
  let seen = 0
  let reached = false
  for (const step of steps) {
    // What precedes the first token belongs before a cut after none.
    if (!reached && seen >= tokens && (seen > 0 || isToken(step) || isDone(step))) {
      reached = true
      if (!pause) return
      yield pause
    }
    if (isToken(step)) seen += 1
    yield step
  }
}

function* withoutDone(steps: Iterable<Step>): Generator<Step> {
  for (const step of steps) if (!isDone(step)) yield step
}

function* garble(steps: Iterable<Step>, atToken: number): Generator<Step> {
  let seen = 0
  for (const step of steps) {
    if (step === 'reset' || step.kind !== 'token' || ++seen !== atToken) yield step
    else yield { ...step, data: broken(String(step.data)) }
  }
}

function broken(data: string): string {
  const [event] = /^(?:event: .*\n)?data: /.exec(data) ?? []
  return event === undefined ? `${data}"{` : `${data.slice(0, Math.max(event.length + 1, data.length / 2))}\n\n`
}

/** Puts the bytes in the last string value of the first token: the content, in a completion. */
function* spoil(steps: Iterable<Step>): Generator<Step> {
  let done = false
  for (const step of steps) {
    const at = done || step === 'reset' || step.kind !== 'token' ? -1 : String(step.data).lastIndexOf('":"')
    if (step === 'reset' || at < 0) {
      yield step
      continue
    }
    done = true
    const data = String(step.data)
    yield {
      ...step,
      data: Buffer.concat([Buffer.from(data.slice(0, at + 3)), invalidUtf8, Buffer.from(data.slice(at + 3))]),
    }
  }
}

const invalidUtf8 = Buffer.from([0xff, 0xc3, 0x28])

function* drip(steps: Iterable<Step>, bytesPerSecond: number): Generator<Step> {
  const size = Math.max(1, Math.floor(bytesPerSecond / 50))
  for (const step of steps) {
    if (step === 'reset' || !step.data) {
      yield step
      continue
    }
    const bytes = Buffer.from(step.data as string)
    if (step.waitMs) yield { waitMs: step.waitMs }
    for (let at = 0; at < bytes.length; at += size) {
      const data = bytes.subarray(at, at + size)
      yield { data, waitMs: (data.length * 1000) / bytesPerSecond }
    }
  }
}

/** A valid JSON document of exactly `bytes` bytes (12 at least), made as it is read. */
function* hugeJson(bytes: number, encode: (data: Buffer) => Buffer = (data) => data): Generator<Step> {
  const head = Buffer.from('{"data":"')
  const tail = Buffer.from('"}')
  const filler = Buffer.alloc(1024 * 1024, 'x')
  const encodedFiller = encode(filler)
  yield { data: encode(head) }
  let left = bytes - head.length - tail.length
  for (; left >= filler.length; left -= filler.length) yield { data: encodedFiller }
  yield { data: encode(Buffer.concat([filler.subarray(0, Math.max(0, left)), tail])) }
}
