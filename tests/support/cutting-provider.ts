/**
 * A provider whose streams break off after a given number of bytes, and the ones that could go on. What a call gets is
 * in its model's name, and who answers in its path, so that each call is on its own whatever runs beside it.
 */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

export type Shape = 'text' | 'tools' | 'two'
/** An RST; a body that ends as it should; a closed connection in the middle of the body. */
export type Ending = 'reset' | 'end' | 'close'
/** How the second provider behaves: it continues a trailing assistant message, begins again, says something else. */
export type Spare = 'prefill' | 'same' | 'other'

export interface Cut {
  shape: Shape
  ending: Ending
  /** Bytes of the body that are sent; more than there are = all. */
  bytes: number
  spare: Spare
  /** The same for what the second provider sends. */
  spareBytes: number
}

export const cutName = ({ shape, ending, bytes, spare, spareBytes }: Cut) =>
  [shape, ending, bytes, spare, spareBytes].join('.')

function cutOf(model: string): Cut {
  const [shape, ending, bytes, spare, spareBytes] = model.split('.')
  return { shape, ending, bytes: Number(bytes), spare, spareBytes: Number(spareBytes) } as Cut
}

interface Call {
  id: string
  name: string
  arguments: string
}

/** One choice of an answer. Pieces of several bytes a letter, so that some cuts fall into one. */
interface Script {
  text: string
  calls: Call[]
  finish: string
}

const plain = (text: string): Script => ({ text, calls: [], finish: 'stop' })
const calls = (city: string): Script => ({
  text: '',
  calls: [
    { id: 'call_a', name: 'weather', arguments: `{"city":"${city}"}` },
    { id: 'call_b', name: 'time', arguments: '{"zone":"UTC"}' },
  ],
  finish: 'tool_calls',
})

const answers: Record<Shape, Script[]> = {
  text: [plain('Größe ✓ 東京 ja')],
  tools: [calls('Köln')],
  two: [plain('eins zwei'), plain('un deux trois')],
}
const otherAnswers: Record<Shape, Script[]> = {
  text: [plain('Größe ✗ nein')],
  tools: [calls('Bonn')],
  two: [plain('eins zwei'), plain('un, deux')],
}

/** What a whole answer of the given kind is. */
export const answerOf = (shape: Shape, spare?: Spare) => (spare === 'other' ? otherAnswers : answers)[shape]

/** The events of an answer, in pieces of so many letters. */
export function eventsOf(scripts: readonly Script[], id: string, pieceLength: number): Buffer[] {
  const event = (value: object) => Buffer.from(`data: ${JSON.stringify({ id, ...value })}\n\n`)
  const chunk = (index: number, delta: object, finish?: string) =>
    event({ choices: [{ index, delta, ...(finish && { finish_reason: finish }) }] })
  const rows = scripts.map(({ text, calls, finish }, index) => [
    chunk(index, { role: 'assistant', content: '' }),
    ...pieces(text, pieceLength).map((content) => chunk(index, { content })),
    ...calls.flatMap((call, i) => [
      chunk(index, {
        tool_calls: [
          { index: i, id: `${call.id}_${id}`, type: 'function', function: { name: call.name, arguments: '' } },
        ],
      }),
      ...pieces(call.arguments, pieceLength).map((part) =>
        chunk(index, { tool_calls: [{ index: i, function: { arguments: part } }] }),
      ),
    ]),
    chunk(index, {}, finish),
  ])
  // Choices take turns, and the shorter one ends first.
  const longest = Math.max(...rows.map((row) => row.length))
  const turns = Array.from({ length: longest }, (_, turn) => rows.flatMap((row) => row.slice(turn, turn + 1)))
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
  return [...turns.flat(), event({ choices: [], usage }), Buffer.from('data: [DONE]\n\n')]
}

const pieces = (text: string, length: number) => text.match(new RegExp(`.{1,${length}}`, 'gsu')) ?? []

interface Body {
  model: string
  messages: { role: string; content: string }[]
}

export async function startCuttingProvider() {
  const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => void serve(req.url ?? '', res))

  async function serve(url: string, res: ServerResponse) {
    const body = (await json(res.req)) as Body
    const { shape, ending, bytes, spare, spareBytes } = cutOf(body.model)
    if (url.startsWith('/first/')) return send(res, eventsOf(answerOf(shape), 'first', 3), bytes, ending)
    const last = body.messages.at(-1)
    const begun = last?.role === 'assistant' ? last.content : ''
    if (begun && spare !== 'prefill') {
      return void res.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"no prefill"}}')
    }
    // The third one always says it all; it has no part in what the second one does.
    if (url.startsWith('/third/')) return send(res, eventsOf(answerOf(shape), 'third', 5), Infinity, ending)
    const rest = answerOf(shape, spare).map((script) => ({ ...script, text: script.text.slice(begun.length) }))
    await send(res, eventsOf(rest, 'second', 4), spareBytes, ending)
  }

  async function send(res: ServerResponse, events: Buffer[], bytes: number, ending: Ending) {
    const whole = Buffer.concat(events)
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    if (bytes >= whole.length) return void res.end(whole)
    res.flushHeaders()
    // What was handed to the kernel is delivered before an RST is.
    if (bytes > 0) await new Promise((resolve) => res.write(whole.subarray(0, bytes), resolve))
    else await new Promise(setImmediate)
    if (ending === 'end') res.end()
    else if (ending === 'close') res.destroy()
    else res.req.socket.resetAndDestroy()
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
