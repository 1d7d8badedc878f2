/**
 * A stretch of TCP between a client and a server that can be cut, made silent and mended: in a thread of its own, so that
 * nothing else holds up the bytes.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

export type LinkState =
  | 'well'
  /** Nobody listens, and what was open is closed. */
  | 'cut'
  /** Bytes stay where they are, and new connections are taken but lead nowhere. */
  | 'silent'

export interface TcpLink {
  /** `host:port`, the same for its whole life. */
  name: string
  port: number
  set(state: LinkState): Promise<void>
  close(): Promise<void>
}

export async function startTcpLink(target: { host: string; port: number }): Promise<TcpLink> {
  const worker = new Worker(new URL(import.meta.url), { workerData: target })
  const [port] = (await once(worker, 'message')) as [number]
  // One order at a time: the answer is to the last one.
  const set = async (state: LinkState) => {
    const done = once(worker, 'message')
    worker.postMessage(state)
    await done
  }
  return {
    name: `127.0.0.1:${port}`,
    port,
    set,
    async close() {
      // A thread that ends with sockets open may never get through with closing them.
      await set('cut')
      await worker.terminate()
    },
  }
}

async function serve(target: { host: string; port: number }) {
  let state: LinkState = 'well'
  const pairs = new Set<[Socket, Socket]>()
  const server: Server = createServer({ noDelay: true }, (near) => {
    const far = connect({ ...target, noDelay: true })
    const pair: [Socket, Socket] = [near, far]
    pairs.add(pair)
    for (const [one, other] of [pair, [far, near] as const]) {
      // An end that breaks takes the other one with it. No RST: it fails where the other direction has ended already.
      one.on('error', () => other.destroy())
      one.on('close', () => {
        pairs.delete(pair)
        other.destroy()
      })
      one.pipe(other)
    }
    if (state === 'silent') hush(pair)
  })
  const listen = async (port: number) => {
    server.listen({ port, host: '127.0.0.1', backlog: 1_024 })
    await once(server, 'listening')
  }
  await listen(0)
  const { port } = server.address() as AddressInfo

  parentPort?.on('message', async (next: LinkState) => {
    if (state === 'silent' && next === 'well') for (const pair of pairs) speak(pair)
    state = next
    if (next === 'silent') for (const pair of pairs) hush(pair)
    if (next === 'cut' && server.listening) {
      const closed = once(server, 'close')
      server.close()
      for (const [near, far] of pairs) {
        near.destroy()
        far.destroy()
      }
      await closed
    } else if (next !== 'cut' && !server.listening) await listen(port)
    parentPort?.postMessage('done')
  })
  parentPort?.postMessage(port)
}

function hush([near, far]: readonly [Socket, Socket]) {
  near.unpipe(far).pause()
  far.unpipe(near).pause()
}

function speak([near, far]: readonly [Socket, Socket]) {
  near.pipe(far).pipe(near)
}

if (!isMainThread) await serve(workerData)
