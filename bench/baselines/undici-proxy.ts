/**
 * The runtime's limit: `node:http` in front, undici's `Pool.dispatch` behind, and nothing between them but the two JSON
 * parses that any gateway needs to know the model and the usage; with PIPE=1 not even those, and whatever is answered is
 * handed on as it comes.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Pool } from 'undici'

const upstream = new URL(process.env.UPSTREAM ?? '')
const isPipe = process.env.PIPE === '1'
const pool = new Pool(upstream.origin, { connections: Number(process.env.CONNECTIONS ?? 256), pipelining: 1 })

const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => forward(request, Buffer.concat(chunks), response))
})
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => process.exit(0))

function forward(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
  const stream = isPipe || JSON.parse(body.toString()).stream
  const parts: Buffer[] = []
  let status = 502
  let type = 'application/json'
  pool.dispatch(
    {
      method: 'POST',
      path: request.url ?? '/',
      headers: { 'content-type': 'application/json', authorization: 'Bearer none' },
      body,
    },
    {
      onRequestStart() {},
      onResponseStart(_, statusCode, headers) {
        status = statusCode
        type = String(headers['content-type'])
        if (stream) response.writeHead(status, { 'content-type': type })
      },
      onResponseData(controller, chunk) {
        if (!stream) parts.push(chunk)
        else if (!response.write(chunk)) {
          controller.pause()
          response.once('drain', () => controller.resume())
        }
      },
      onResponseEnd() {
        if (stream) return void response.end()
        const answer = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
        JSON.parse(answer.toString())
        response.writeHead(status, { 'content-type': type, 'content-length': answer.length })
        response.end(answer)
      },
      onResponseError(_, error) {
        response.destroy(error)
      },
    },
  )
}
