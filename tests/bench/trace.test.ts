import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parseTimestamp, parseTrace } from '../../bench/trace.ts'

const head = 'TIMESTAMP,ContextTokens,GeneratedTokens'

test('a trace is read as gaps from its first request, below a millisecond too', () => {
  const csv = `${head}\r\n2023-11-16 18:59:59.9990000,374,44\r\n2023-11-16 19:00:00.0005000,396,109\r\n`
  const [first, second] = parseTrace(csv)
  expect(first).toEqual({ atMs: 0, promptTokens: 374, generatedTokens: 44 })
  expect(second?.atMs).toBeCloseTo(1.5, 3)
})

test.each([
  ['a token count that is none', '2023-11-16 18:15:46.6,0,44'],
  ['a missing column', '2023-11-16 18:15:46.6,374'],
  ['a time that is none', 'yesterday,374,44'],
  ['a request before the first', '2023-11-16 18:15:45.0,374,44'],
])('%s is refused with its line', (_, line) => {
  expect(() => parseTrace(`${head}\n2023-11-16 18:15:46.0,1,1\n${line}`)).toThrow('line 3 of the trace')
})

test('a file with other columns is refused', () => {
  expect(() => parseTrace('a,b\n1,2')).toThrow(head)
})

test('whole seconds are a timestamp as well', () => {
  expect(parseTimestamp('1970-01-01 00:00:01')).toBe(1000)
})

test('the carried trace is the hour it is said to be', async () => {
  const csv = await readFile(new URL('../../bench/data/azure-llm-inference-conv-2023.csv', import.meta.url), 'utf8')
  const trace = parseTrace(csv)
  expect(trace).toHaveLength(19_366)
  expect(trace.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0)).toBe(4_088_665)
  expect(trace.at(-1)?.atMs).toBeCloseTo(3_501_721.937, 2)
})
