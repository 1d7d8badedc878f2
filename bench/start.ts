/** `npm run bench:start`: how long `npm start` takes until it listens, on an empty data folder and on the same one again. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const rounds = 3
const targets = { first: 10_000, later: 3_000 }

async function timeStart(dataDir: string): Promise<number> {
  const startedAt = performance.now()
  const env = { ...process.env, HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, DRAIN_DELAY: '0s' }
  const child = spawn('npm', ['start', '--silent'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  const listening = new Promise<number>((resolve, reject) => {
    child.stdout.on('data', (data) => {
      text += data
      const line = text.split('\n').find((l) => l.includes('"listening"') && l.endsWith('}'))
      if (line) resolve(JSON.parse(line).pid)
    })
    child.on('exit', (code) => reject(new Error(`npm start ended with ${code}`)))
  })
  const pid = await listening
  const ms = performance.now() - startedAt
  process.kill(pid, 'SIGTERM')
  await once(child, 'exit')
  return ms
}

const rows: { first: number; later: number }[] = []
for (let round = 1; round <= rounds; round++) {
  const dataDir = mkdtempSync(join(tmpdir(), 'gateway-start-'))
  try {
    rows.push({ first: await timeStart(dataDir), later: await timeStart(dataDir) })
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
  console.log(`round ${round}: first ${rows.at(-1)!.first.toFixed(0)} ms, later ${rows.at(-1)!.later.toFixed(0)} ms`)
}
for (const name of ['first', 'later'] as const) {
  const worst = Math.max(...rows.map((row) => row[name]))
  console.log(
    `${name.padEnd(6)} worst ${worst.toFixed(0)} ms, target ${targets[name]} ms: ${worst < targets[name] ? 'met' : 'missed'}`,
  )
}
