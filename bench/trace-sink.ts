/** A collector that takes every span, keeps none, and says how many there were. */
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'

let spans = 0
const server = createServer(async (request, response) => {
  spans += (await text(request)).split('"spanId"').length - 1
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(request.method === 'GET' ? JSON.stringify({ spans }) : '{}')
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => process.exit(0))
