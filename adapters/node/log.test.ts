import { spawn } from 'node:child_process'
import { closeSync, mkdtempDisposableSync, openSync, readFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLog } from './log.ts'

function logged(write: (log: ReturnType<typeof createLog>) => void, level: 'debug' | 'info' = 'info'): unknown[] {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'log-'))
  const file = join(folder.path, 'log')
  const fd = openSync(file, 'a')
  const log = createLog(level, fd)
  write(log)
  log.flush()
  closeSync(fd)
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

test('whatever is logged, each line is one JSON object that says just that', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      (message, model, ms) => {
        const [line] = logged((log) => log.info(message, { model, duration_ms: ms, stream: true, code: undefined }))
        expect(line).toMatchObject({
          level: 'info',
          msg: message.toWellFormed() === message ? message : expect.any(String),
          model,
        })
        expect(line).not.toHaveProperty('code')
      },
    ),
    { numRuns: 200 },
  )
})

test('a field that is not on the allow-list is not written', () => {
  const smuggled = { request_id: 'r', authorization: 'Bearer canary', prompt: 'canary' } as { request_id: string }
  expect(JSON.stringify(logged((log) => log.error('x', smuggled)))).not.toContain('canary')
})

test('at the end of the process a reader who is slow gets the last line all the same', async () => {
  const reader = spawn('sh', ['-c', 'dd bs=8 status=none | wc -c'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const { fd } = (reader.stdin as unknown as { _handle: { fd: number } })._handle
  let sent = 0
  const fill = () => {
    for (;;) sent += writeSync(fd, 'x'.repeat(1_000))
  }
  expect(fill).toThrow('EAGAIN')
  const log = createLog('info', fd)
  const last = '✓'.repeat(50_000)
  log.error(last)
  log.flush()
  reader.stdin.end()
  expect(Number(await text(reader.stdout))).toBeGreaterThan(sent + Buffer.byteLength(last))
})

test('lines below the level are not written', () => {
  expect(logged((log) => log.debug('x'))).toEqual([])
  expect(logged((log) => log.debug('x'), 'debug')).toHaveLength(1)
})
