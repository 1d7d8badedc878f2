/** An OpenTelemetry collector's receiver, OTLP as JSON over HTTP: keeps every span it is sent. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

export interface ReceivedSpan {
  name: string
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  kind: number
  startMs: number
  endMs: number
  /** 2 = error. */
  status: number
  attributes: Record<string, string | number | boolean>
}

export interface OtlpReceiver {
  endpoint: string
  spans: ReceivedSpan[]
  resource: Record<string, unknown>
  close(): void
}

interface Attribute {
  key: string
  value: Record<string, string | number | boolean>
}
type Sent = Omit<ReceivedSpan, 'attributes' | 'status' | 'startMs' | 'endMs'> & {
  startTimeUnixNano: string
  endTimeUnixNano: string
  status?: { code?: number }
  attributes: Attribute[]
}
interface Export {
  resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Sent[] }[] }[]
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const resource: Record<string, unknown> = {}
  const server = createServer(async (req, res) => {
    const { resourceSpans } = (await json(req)) as Export
    if (req.url !== '/v1/traces') return void res.writeHead(404).end()
    for (const each of resourceSpans) {
      Object.assign(resource, plain(each.resource.attributes))
      for (const { spans: sent } of each.scopeSpans) spans.push(...sent.map(received))
    }
    res.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    resource,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const received = ({ startTimeUnixNano, endTimeUnixNano, status, attributes, ...span }: Sent): ReceivedSpan => ({
  ...span,
  parentSpanId: span.parentSpanId || undefined,
  startMs: msOf(startTimeUnixNano),
  endMs: msOf(endTimeUnixNano),
  status: status?.code ?? 0,
  attributes: plain(attributes),
})

/** Nanoseconds since 1970 have more digits than a number holds: to the microsecond, as a float of ms since 2026. */
const msOf = (nanoseconds: string) =>
  Number((BigInt(nanoseconds) - BigInt(Date.UTC(2026, 0)) * 1_000_000n) / 1_000n) / 1_000

/** Whole numbers travel as text. */
const plain = (attributes: Attribute[]) =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [key, 'intValue' in value ? Number(value.intValue) : Object.values(value)[0]!]),
  )
