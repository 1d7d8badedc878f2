/** A provider that counts what it was asked for, and takes no time for it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { Gate } from './gate.ts'

export interface CountingProvider {
  /** With `/v1`. */
  baseUrl: string
  /** Calls that came. */
  calls: number
  /** Shut: answers wait here. */
  gate: Gate
  close(): void
}

/** Images one each, completions of so many tokens. */
export async function startCountingProvider(usage: object): Promise<CountingProvider> {
  const server = createServer(async (req, res) => {
    await json(req)
    provider.calls++
    await provider.gate.open()
    const choices = [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }]
    const answer = req.url?.includes('images') ? { data: [{ b64_json: 'aGk=' }] } : { id: 'chat', choices, usage }
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const provider: CountingProvider = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls: 0,
    gate: new Gate(),
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
  return provider
}
