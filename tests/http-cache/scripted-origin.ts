/** An origin that says what it is told, over real sockets, and a client that hides nothing of what it is answered. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import type { Asked, PreparedAnswer, ScriptedOrigin, Seen } from './run-case.ts'

export interface RunningOrigin extends ScriptedOrigin {
  url: string
  /** Asks a server and reads what it answers to the end. */
  through(url: string, init: { method: string; headers: Record<string, string>; body?: string }): Promise<Seen>
  close(): Promise<void>
}

export async function startScriptedOrigin(): Promise<RunningOrigin> {
  const answers = new Map<string, PreparedAnswer | 'down'>()
  const seen = new Map<string, Asked[]>()
  const server = createServer((asked, answer) => {
    const path = asked.url ?? '/'
    const own = seen.get(path) ?? []
    seen.set(path, own)
    own.push({ method: asked.method ?? '', headers: asked.headers as Record<string, string> })
    asked.resume()
    asked.on('end', () => {
      const said = answers.get(path)
      if (!said || said === 'down') return asked.socket.destroy()
      answer.sendDate = false
      answer.writeHead(said.status, said.headers.flat())
      const claimed = said.headers.find(([name]) => name === 'content-length')
      if (!claimed) return answer.end(asked.method === 'HEAD' ? undefined : said.body)
      answer.write(said.body, () => asked.socket.destroySoon())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ pipelining: 0 })
  return {
    url: `http://127.0.0.1:${port}`,
    say: (path, answer) => answers.set(path, answer),
    asked: (path) => seen.get(path) ?? [],
    async through(url, { method, headers, body }) {
      const answer = await request(url, {
        method: method as 'GET',
        headers,
        body: body ?? null,
        dispatcher: agent,
      }).catch(() => undefined)
      if (!answer) return { status: 0, headers: {}, body: '', broken: true }
      const flat = Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]))
      const text = await answer.body.text().catch(() => undefined)
      return { status: answer.statusCode, headers: flat, body: text ?? '', broken: text === undefined }
    },
    async close() {
      await agent.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
