/** A provider that keeps what it is told to keep, as OpenAI does, and remembers every byte that it was sent. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export interface RecordingProvider {
  /** With `/v1`. */
  baseUrl: string
  calls: { path: string; body: string }[]
  /** What it keeps for the credential, and would find again. */
  kept: string[]
  close(): void
}

const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
/** All that any endpoint answers. */
const answer = {
  id: 'answer',
  text: 'hi',
  status: 'completed',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  data: [{ b64_json: 'aGk=' }],
  output: [],
  results: [],
  usage,
}

export async function startRecordingProvider(): Promise<RecordingProvider> {
  const server = createServer(async (req, res) => {
    const path = (req.url ?? '').replace('/v1/', '')
    const body = (await buffer(req)).toString('latin1')
    provider.calls.push({ path, body })
    if (keeps(path, body)) provider.kept.push(body)
    if (path === 'audio/speech') return void res.writeHead(200, { 'content-type': 'audio/mpeg' }).end('sound')
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const provider: RecordingProvider = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls: [],
    kept: [],
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
  return provider
}

/** Responses are kept unless it is told not to, completions where it is told to, and what runs in the background is. */
function keeps(path: string, body: string): boolean {
  if (!body.startsWith('{')) return /name="store"\r\n\r\n(?!false)/i.test(body)
  const { store, background } = JSON.parse(body)
  return background === true || (path === 'responses' ? store !== false : store != null && store !== false)
}
