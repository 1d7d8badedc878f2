import { describe, expect, test } from 'vitest'
import { createTracer, type Span, type Trace, type Tracing, withSpans } from './trace.ts'

function world({ sampled = false, slowMs = 1_000 } = {}) {
  const taken: Trace[] = []
  let now = 0
  let ids = 0
  let current: Span | undefined
  const tracing: Tracing = {
    newTraceId: () => 'a'.repeat(32),
    newSpanId: () => String(++ids).padStart(16, '0'),
    isSampled: (_, callerSays) => callerSays ?? sampled,
    slowMs,
    run(span, fn) {
      const before = current
      current = span
      try {
        return fn()
      } finally {
        current = before
      }
    },
    current: () => current,
    take: (trace) => void taken.push(trace),
  }
  const tracer = createTracer(tracing, () => now)
  const begin = (headers: Record<string, string> = {}) => tracer.begin((name) => headers[name])
  const pass = (ms: number) => {
    now += ms
  }
  const end = (root: Span, status: number) => tracer.end(root, status, () => ({ name: 'GET /', attributes: {} }))
  return { taken, tracing, begin, end, pass }
}

describe('what is kept of a request', () => {
  test.each([
    ['is sampled', { sampled: true }, 200, 10, 1],
    ['is not sampled', {}, 200, 10, 0],
    ['is refused, which is the caller’s own', {}, 429, 10, 0],
    ['fails', {}, 503, 10, 1],
    ['is slow', {}, 200, 1_000, 1],
    ['is nearly slow', {}, 200, 999, 0],
  ])('that %s', (_, options, status, ms, kept) => {
    const { begin, end, taken, pass } = world(options)
    const root = begin()
    pass(ms)
    end(root, status)
    expect(taken).toHaveLength(kept)
  })

  test('what the caller says of sampling goes on to those whom we call', () => {
    const { begin } = world({ sampled: true })
    const caller = `00-${'b'.repeat(32)}-${'c'.repeat(16)}-00`
    const root = begin({ traceparent: caller, tracestate: 'x=1' })
    const headers = root.child('chat m', 'client').headers()
    expect(headers).toEqual({ traceparent: `00-${'b'.repeat(32)}-0000000000000001-00`, tracestate: 'x=1' })
  })

  test('state without a valid parent is not handed on', () => {
    const root = world().begin({ traceparent: 'nonsense', tracestate: 'x=1' })
    expect(root.headers()).toEqual({ traceparent: `00-${'a'.repeat(32)}-0000000000000001-02` })
  })
})

test('of very many spans the first are kept and the others counted', () => {
  const { begin, end, taken } = world({ sampled: true })
  const root = begin()
  for (let i = 0; i < 1_000; i++) root.child('query', 'client').end()
  end(root, 200)
  expect(taken[0]!.spans).toHaveLength(128)
  expect(taken[0]!.dropped).toBe(1_001 - 128)
})

test('what has not ended ends with its request', () => {
  const { begin, end, taken, pass } = world({ sampled: true })
  const root = begin()
  root.child('stream', 'client')
  pass(5)
  end(root, 200)
  expect(taken[0]!.spans.map(({ endedAt }) => endedAt)).toEqual([5, 5])
})

describe('a port with spans', () => {
  const port = { base: 2, add: (n: number) => Promise.resolve(n + 2), fail: () => Promise.reject(new RangeError('no')) }

  test('is the port itself where nothing is traced', () => {
    expect(withSpans(port, undefined, 'redis', ['add'])).toBe(port)
  })

  test('tells of its calls in the course of a request, also of those that fail, and of no others', async () => {
    const { tracing, begin } = world()
    const traced = withSpans(port, tracing, 'redis', ['add', 'fail'], (sum) => ({ sum: sum as number }))
    expect(await traced.add(1)).toBe(3)
    const root = begin()
    const sum = tracing.run(root, () => traced.add(1))
    const failure = tracing.run(root, () => traced.fail())
    await expect(sum).resolves.toBe(3)
    await expect(failure).rejects.toThrow('no')
    expect(root.trace.spans.slice(1).map(({ name, attributes, error }) => ({ name, attributes, error }))).toEqual([
      { name: 'redis add', attributes: { sum: 3 }, error: undefined },
      { name: 'redis fail', attributes: {}, error: 'RangeError' },
    ])
    expect(traced.base).toBe(2)
  })
})
