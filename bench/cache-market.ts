/**
 * A market in a process of its own that answers every search with the sandbox's whole list, after MARKET_MS. Unlike
 * Vast.ai and the sandbox it takes any number of searches: the bench has to ask the source more often than ten times a
 * minute.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startSandbox } from '../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../src/resilience/clock.ts'

const delayMs = Number(process.env.MARKET_MS)
const sandbox = await startSandbox({ clock, random: Math.random, servers: ['vastai'] })
const search = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"limit":2000}' }
const list = await (await fetch(`${sandbox.vastai!.baseUrl}/api/v0/bundles/`, search)).text()
await sandbox.close()

const server = createServer({ keepAliveTimeout: 75_000 }, (req, res) => {
  req.resume()
  setTimeout(() => res.writeHead(200, { 'content-type': 'application/json' }).end(list), delayMs)
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  console.log(JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => process.exit(0))
