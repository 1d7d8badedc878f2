/** `npm run gpu`: from an offer to the bill in one go, printed as a transcript. See docs/gpu-market.md. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startSandbox } from '../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../src/resilience/clock.ts'
import { walk } from './gpu/walk.ts'
import { supervise } from './processes.ts'
import { apiKey, startGateway } from './systems.ts'

const limitMs = 180_000

const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-gpu-'))
const failed = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(failed.length === 0 ? 0 : 1)

/** The market is in this process, so that its hosts can be killed; the gateway is one of its own, as `npm start` runs it. */
async function run(): Promise<string[]> {
  const since = performance.now()
  const sandbox = await startSandbox({ clock, random: Math.random, servers: ['vastai'] })
  const market = sandbox.vastai!
  const late = setTimeout(() => {
    console.error(`not done after ${limitMs / 1000} s`)
    process.kill(process.pid, 'SIGTERM')
  }, limitMs)
  try {
    const gateway = await startGateway({
      folder,
      env: { VASTAI_BASE_URL: market.baseUrl, BOOTSTRAP_CREDIT_USD: '10' },
    })
    const failed = await walk({ url: gateway.url, apiKey, market, write: (line) => console.log(line), pollMs: 200 })
    const seconds = ((performance.now() - since) / 1000).toFixed(0)
    console.log(`\n${failed.length === 0 ? 'All of it held' : `${failed.length} did not hold`}, in ${seconds} s.`)
    await gateway.stop()
    return failed
  } finally {
    clearTimeout(late)
    await sandbox.close()
  }
}
