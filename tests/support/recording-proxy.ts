/** Stands before a gateway and remembers what was asked and answered. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Exchange {
  method: string
  /** With its query. */
  path: string
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

export interface RecordingProxy {
  url: string
  /** In the order in which their answers ended. */
  exchanges: Exchange[]
  close(): Promise<void>
}

export async function startRecordingProxy(target: string): Promise<RecordingProxy> {
  const exchanges: Exchange[] = []
  const server = createServer((incoming, outgoing) => {
    const { method = '', url: path = '', headers } = incoming
    const asked = request(target + path, { method, headers }, (answer) => {
      const pieces: Buffer[] = []
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.on('data', (piece: Buffer) => {
        pieces.push(piece)
        outgoing.write(piece)
      })
      answer.on('end', () => {
        // Before its caller can know that it is over.
        const body = Buffer.concat(pieces).toString()
        exchanges.push({ method, path, status: answer.statusCode!, headers: answer.headers, body })
        outgoing.end()
      })
    })
    asked.on('error', () => outgoing.destroy())
    incoming.pipe(asked)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
