/** What a pod takes: to start, idle, and under load. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseEnv, startTestPostgres } from '../../tests/support/postgres.ts'
import { chatRequest } from '../answers.ts'
import { atLeast, atMost, told } from '../bars.ts'
import { buildBundle, bundleEntry, bundleEnv, makeKey } from '../bundle.ts'
import { measure, runOpenLoop } from '../measure.ts'
import { peakMib, resetPeak, residentMib } from '../proc.ts'
import { median } from '../statistics.ts'
import { startFakeProvider, startGateway } from '../systems.ts'
import type { Section } from './section.ts'

const bars = { startMs: 1_000, idleMib: 120, loadedMib: 256 }
const starts = 5
const idleSeconds = 15
const load = { requestsPerSecond: 2_000, seconds: 20 }

export const footprint: Section = {
  name: 'footprint',
  title: 'start, memory idle and under load, of the bundle with an external database',
  async run({ folder, progress }) {
    await buildBundle()
    const provider = await startFakeProvider()
    const postgres = await startTestPostgres()
    try {
      const env = databaseEnv(postgres)
      const start = (name: string) =>
        startGateway({
          folder: join(folder, name),
          openaiUrl: `${provider.url}/v1`,
          env: { ...bundleEnv, ...env },
          entry: bundleEntry,
        })
      // The first one makes the tables.
      await (await start('migrating')).stop()
      const key = await makeKey(env)
      const startMs: number[] = []
      for (let i = 0; i < starts; i++) {
        const startedAt = performance.now()
        const gateway = await start(`start-${i}`)
        const ready = await fetch(`${gateway.url}/readyz`)
        startMs.push(performance.now() - startedAt)
        if (ready.status !== 200) throw new Error(`a gateway that listens is not ready: ${ready.status}`)
        await gateway.stop()
      }
      const gateway = await start('running')
      progress.show(`footprint: idle for ${idleSeconds} s`)
      await sleep(idleSeconds * 1_000)
      const idle = await residentMib(gateway.pid)
      await resetPeak(gateway.pid)
      progress.show(`footprint: ${load.requestsPerSecond} small completions a second for ${load.seconds} s`)
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
      const order = { url: gateway.url, path: '/v1/chat/completions', headers, body: chatRequest, ...load }
      const sample = await measure(gateway, () => runOpenLoop(order))
      const loaded = await peakMib(gateway.pid)
      for (const server of [gateway, provider]) await server.stop()
      return [
        atMost('start to ready, median', bars.startMs, Math.round(median(startMs)), ' ms'),
        told('start to ready, the slowest', `${Math.round(Math.max(...startMs))} ms`),
        atMost('resident, idle', bars.idleMib, Math.round(idle), ' MiB'),
        atLeast(`of ${sample.sent} small completions answered`, sample.sent, sample.answered),
        atMost(`resident at most, ${load.requestsPerSecond} a second`, bars.loadedMib, Math.round(loaded), ' MiB'),
      ]
    } finally {
      await postgres.close()
    }
  },
}
