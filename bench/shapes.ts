/** The shapes of traffic that are measured. */
import { chatRequest, streamEnding, streamEvents, streamRequest } from './answers.ts'
import type { SystemName } from './systems.ts'
import type { LoadRequest } from './wrk.ts'

export interface Shape {
  name: 'chat' | 'offers' | 'health' | 'sse'
  systems: readonly [gateway: 'gateway', ...others: SystemName[]]
  request: Omit<LoadRequest, 'headers'>
  /** Of the load generator; each has one request under way at any time. */
  connections: number
  /** What one answered request counts for. */
  unit: { name: string; perRequest: number }
}

const requests = { name: 'req/s', perRequest: 1 }

export const shapes: readonly Shape[] = [
  {
    name: 'chat',
    systems: ['gateway', 'undici', 'nginx', 'portkey', 'litellm', 'before'],
    request: { method: 'POST', path: '/v1/chat/completions', body: chatRequest },
    connections: 32,
    unit: requests,
  },
  {
    name: 'offers',
    systems: ['gateway', 'node-http', 'before'],
    request: { method: 'GET', path: '/api/v1/gpu/offers?min_vram=24&max_price=2' },
    connections: 32,
    unit: requests,
  },
  {
    name: 'health',
    systems: ['gateway', 'node-http', 'before'],
    request: { method: 'GET', path: '/api/v1/health' },
    connections: 32,
    unit: requests,
  },
  {
    name: 'sse',
    systems: ['gateway', 'undici', 'nginx', 'portkey', 'litellm'],
    request: { method: 'POST', path: '/v1/chat/completions', body: streamRequest, ending: streamEnding },
    connections: 16,
    unit: { name: 'events/s', perRequest: streamEvents.length },
  },
]

export const latencyRate = 1_000
/** A latency measurement is longer than the others: a p99 wants many requests. */
export const latencySecondsFactor = 5

export interface Target {
  name: string
  shape: string
  /** The system compared with, for a target on a ratio. */
  system?: SystemName
  want: { atLeast: number } | { below: number }
  unit: string
}

export const targets: readonly Target[] = [
  { name: 'chat against bare undici', shape: 'chat', system: 'undici', want: { atLeast: 0.65 }, unit: 'x' },
  { name: 'chat against nginx', shape: 'chat', system: 'nginx', want: { atLeast: 0.2 }, unit: 'x' },
  { name: 'chat against Portkey', shape: 'chat', system: 'portkey', want: { atLeast: 12 }, unit: 'x' },
  { name: 'chat against before', shape: 'chat', system: 'before', want: { atLeast: 10 }, unit: 'x' },
  { name: 'health against bare node:http', shape: 'health', system: 'node-http', want: { atLeast: 0.65 }, unit: 'x' },
  { name: 'health against before', shape: 'health', system: 'before', want: { atLeast: 10 }, unit: 'x' },
  { name: 'offers against bare node:http', shape: 'offers', system: 'node-http', want: { atLeast: 0.5 }, unit: 'x' },
  { name: 'offers against before', shape: 'offers', system: 'before', want: { atLeast: 10 }, unit: 'x' },
  { name: 'events against bare undici', shape: 'sse', system: 'undici', want: { atLeast: 0.8 }, unit: 'x' },
  { name: 'added latency p50 at 1,000 req/s', shape: 'latency', want: { below: 0.5 }, unit: 'ms' },
  { name: 'added latency p99 at 1,000 req/s', shape: 'latency', want: { below: 3 }, unit: 'ms' },
]
