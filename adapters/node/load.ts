/** How busy this process is: its event loop, and its memory beside what the container may use. */
import { totalmem } from 'node:os'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Load, LoadProbe } from '../../src/ports.ts'

/** The histogram's own timer; each of its delays counts from when it was due. */
const resolutionMs = 10

export interface NodeLoadProbe {
  probe: LoadProbe
  close(): void
}

export function createLoadProbe(): NodeLoadProbe {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs })
  delays.enable()
  const memoryBytes = memoryLimit(process.constrainedMemory(), totalmem())
  let since = performance.eventLoopUtilization()
  let sinceMs = performance.now()
  let memoryShare = 0
  return {
    probe(): Load {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, since)
      since = now
      const nowMs = performance.now()
      // A timer that has not run at all is late by the whole time: the loop is still in one turn.
      const late = (percent: number) =>
        Math.max((delays.count > 0 ? delays.percentile(percent) / 1e6 : nowMs - sinceMs) - resolutionMs, 0)
      const [delayP50Ms, delayP99Ms] = [late(50), late(99)]
      sinceMs = nowMs
      delays.reset()
      try {
        memoryShare = process.memoryUsage.rss() / memoryBytes
      } catch {
        // Without a descriptor left it cannot be read: what it was last is near enough.
      }
      return {
        utilisation: Math.min(Math.max(utilization, 0), 1),
        delayP50Ms,
        delayP99Ms,
        memoryShare,
      }
    },
    close() {
      delays.disable()
    },
  }
}

/** The control group's limit, of version 1 or 2; "none" is told as 0, or as more than there is. */
export function memoryLimit(constrained: number, total: number): number {
  return constrained > 0 ? Math.min(constrained, total) : total
}
