/**
 * The runtime's limit for an answer that needs no provider: `node:http` with bytes prepared beforehand. ANSWERS is a
 * file of what the gateway answered at the start of the run, by path.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { CapturedAnswer } from '../systems.ts'

const answers: Record<string, CapturedAnswer> = JSON.parse(readFileSync(process.env.ANSWERS ?? '', 'utf8'))

const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  const answer = answers[request.url ?? '/']
  if (!answer) return void response.writeHead(404).end()
  response.writeHead(answer.status, answer.headers)
  response.end(answer.body)
})
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => process.exit(0))
