/** Threats 9, 10, 11 and 39: a gateway process under slow, large and lying connections, and callers who leave. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import { request } from 'undici'
import { atLeast, atMost, type Bar } from '../bars.ts'
import { podNodeOptions } from '../bundle.ts'
import { peakMib, resetPeak, residentMib } from '../proc.ts'
import type { Server } from '../processes.ts'
import { startSlowClients } from '../slow-clients.ts'
import { percentile } from '../statistics.ts'
import { apiKey, startFakeProvider, startGateway } from '../systems.ts'

const chat = (content: string, more: object = {}) =>
  JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content }], ...more })
const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }

async function withGateway<T>(openaiUrl: string | undefined, work: (gateway: Server) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-security-'))
  const provider = openaiUrl === undefined ? await startFakeProvider() : undefined
  const gateway = await startGateway({
    folder,
    openaiUrl: openaiUrl ?? `${provider!.url}/v1`,
    env: { NODE_OPTIONS: podNodeOptions },
  })
  try {
    return await work({ ...gateway, url: gateway.url.replace('localhost', '127.0.0.1') })
  } finally {
    await gateway.stop()
    await provider?.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

interface Good {
  sent: number
  answered: number
  p99Ms: number
}

/** Fifty callers, each of whom asks again every half a second. */
async function goodCallers(gateway: Server, forMs: number): Promise<Good> {
  const times: number[] = []
  let sent = 0
  const until = performance.now() + forMs
  const callers = Array.from({ length: 50 }, async (_, i) => {
    await sleep(i * 10)
    while (performance.now() < until) {
      const from = performance.now()
      sent++
      const init = { method: 'POST', headers, body: chat('hi'), signal: AbortSignal.timeout(10_000) }
      const response = await fetch(`${gateway.url}/v1/chat/completions`, init).catch(() => undefined)
      if (response && (await response.text().catch(() => '')) !== '' && response.ok)
        times.push(performance.now() - from)
      await sleep(500)
    }
  })
  await Promise.all(callers)
  return {
    sent,
    answered: times.length,
    p99Ms: percentile(
      times.sort((a, b) => a - b),
      99,
    ),
  }
}

const slowMs = 36_000
/** Readers are cut later than this lasts: tests show that they are. */
const slowCount = { headers: 170, body: 170, reading: 160 }

export const measureSlowCallers = (show: (line: string) => void): Promise<Bar[]> =>
  withGateway(undefined, async (gateway) => {
    await goodCallers(gateway, 3_000)
    const before = await goodCallers(gateway, 10_000)
    show(`slow callers: 500 for ${slowMs / 1_000} s beside 50 good ones`)
    const slow = await startSlowClients({ url: gateway.url, count: slowCount })
    const during = await goodCallers(gateway, slowMs)
    const { headers: inHeaders, body: inBodies } = await slow.told()
    await slow.stop()
    return [
      atLeast('good callers answered beside 500 slow ones', 99, (100 * during.answered) / during.sent, ' %'),
      {
        ...atMost('their p99 to that without', 2, during.p99Ms / before.p99Ms),
        got: `${(during.p99Ms / before.p99Ms).toFixed(3)} (${during.p99Ms.toFixed(1)} and ${before.p99Ms.toFixed(1)} ms)`,
      },
      atMost('slow headers cut after', 13, inHeaders.longestMs / 1_000, ' s'),
      atMost('slow bodies cut after', 34, inBodies.longestMs / 1_000, ' s'),
    ]
  })

/** Longest time that a probe, asked every 20 ms, waited for its answer while the work went on, in ms. */
async function slowestProbe(gateway: Server, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  let over = false
  const asking = (async () => {
    while (!over) {
      const from = performance.now()
      await (await fetch(`${gateway.url}/livez`)).text()
      times.push(performance.now() - from)
      await sleep(20)
    }
  })()
  await work()
  over = true
  await asking
  return percentile(
    times.sort((a, b) => a - b),
    99,
  )
}

export const measureBodies = (show: (line: string) => void): Promise<Bar[]> =>
  withGateway(undefined, async (gateway) => {
    show('bodies: deep, wide, of many parts, long and large ones')
    // Bytes that are sent as they lie there: this thread also asks the probe, which must not wait for an encoder of ours.
    const nested = Buffer.from(`${chat('x').slice(0, -1)},"x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`)
    const wide = Buffer.from(
      chat('x', { x: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 1])) }),
    )
    const many = Buffer.from(`${chat('x').slice(0, -1)},"x":[${'[],'.repeat(6_000_000)}[]]}`)
    const large = Buffer.from(chat('x'.repeat(21 << 20)))
    const almost = Buffer.from(chat('x'.repeat(4 << 20)))
    const send = async (body: Buffer, wanted: number) => {
      const asked = await request(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body }).catch(
        () => undefined,
      )
      await asked?.body.dump().catch(() => {})
      // Who is told 413 may find the connection gone before the answer is read.
      return asked === undefined ? wanted === 413 : asked.statusCode === wanted
    }
    let wrong = 0
    const p99 = await slowestProbe(gateway, async () => {
      for (let i = 0; i < 20; i++) {
        for (const [body, wanted] of [
          [nested, 400],
          [wide, 400],
          [many, 400],
          [large, 413],
          [almost, 200],
        ] as const) {
          if (!(await send(body, wanted))) wrong++
        }
      }
    })
    return [
      atMost('bodies answered otherwise than they should be', 0, wrong),
      atMost('p99 of a probe meanwhile', 70, p99, ' ms'),
    ]
  })

/** Answers every request with 200 MiB of zeros in a gzip of about 200 KB. */
async function startBomb(): Promise<{ url: string; arm(): void; close(): void }> {
  let armed = false
  const gzip = createGzip({ level: 9 })
  const chunks: Buffer[] = []
  gzip.on('data', (chunk) => chunks.push(chunk))
  for (let i = 0; i < 200; i++) if (!gzip.write(Buffer.alloc(1 << 20))) await once(gzip, 'drain')
  gzip.end()
  await once(gzip, 'end')
  const bomb = Buffer.concat(chunks)
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () => {
      socket.write(
        armed ? head : 'HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
      )
      if (armed) socket.write(bomb)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    arm() {
      armed = true
    },
    close: () => server.close(),
  }
}

export async function measureBombs(show: (line: string) => void): Promise<Bar[]> {
  const bomb = await startBomb()
  try {
    return await withGateway(bomb.url, async (gateway) => {
      show('bombs: 204 KB that unpack to 200 MiB')
      const ask = async () => {
        const init = { method: 'POST', headers, body: chat('hi') }
        const response = await fetch(`${gateway.url}/v1/chat/completions`, init)
        await response.text()
        return response.status
      }
      for (let i = 0; i < 300; i++) await ask()
      bomb.arm()
      const before = await residentMib(gateway.pid)
      await resetPeak(gateway.pid)
      let other = 0
      for (let i = 0; i < 3; i++) {
        const status = await ask()
        if (status !== 502 && status !== 503) other++
      }
      return [
        atMost('bombs answered otherwise than with 502 or 503', 0, other),
        atMost('more memory at the peak', 64, (await peakMib(gateway.pid)) - before, ' MiB'),
      ]
    })
  } finally {
    bomb.close()
  }
}

/** Tells when each of its callers left, in ms since the start of this process. */
async function startNotingProvider() {
  const left: ((at: number) => void)[] = []
  const arrived: (() => void)[] = []
  let streams = false
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () => {
      if (streams) {
        const event = `data: ${JSON.stringify({ id: 'a', choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }] })}\n\n`
        socket.write(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n${event}`)
      }
      arrived.shift()?.()
    })
    socket.on('close', () => left.shift()?.(performance.now()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    arrival: () => new Promise<void>((resolve) => arrived.push(resolve)),
    leaving: () => new Promise<number>((resolve) => left.push(resolve)),
    stream(on: boolean) {
      streams = on
    },
    close: () => server.close(),
  }
}

export async function measureLeaving(show: (line: string) => void): Promise<Bar[]> {
  const provider = await startNotingProvider()
  try {
    return await withGateway(provider.url, async (gateway) => {
      show('leaving: before the headers, and in the middle of a stream')
      const phases = { 'while the provider is silent': false, 'while a stream goes on': true }
      const bars: Bar[] = []
      for (const [phase, stream] of Object.entries(phases)) {
        provider.stream(stream)
        const times: number[] = []
        for (let i = 0; i < 40; i++) {
          const [arrival, leaving, leaver] = [provider.arrival(), provider.leaving(), new AbortController()]
          const init = { method: 'POST', headers, body: chat('hi', { stream }), signal: leaver.signal }
          const asking = fetch(`${gateway.url}/v1/chat/completions`, init)
          const reading = asking.then((response) => response.body?.getReader().read())
          await arrival
          if (stream) await reading
          const from = performance.now()
          leaver.abort()
          await reading.catch(() => {})
          times.push((await leaving) - from)
        }
        bars.push(
          atMost(
            `provider left after, p99, ${phase}`,
            100,
            percentile(
              times.sort((a, b) => a - b),
              99,
            ),
            ' ms',
          ),
        )
      }
      return bars
    })
  } finally {
    provider.close()
  }
}
