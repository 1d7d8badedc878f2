/** Wakes the open-loop generator at each send time: the event loop's own timers tick in whole milliseconds. */
import { parentPort, workerData } from 'node:worker_threads'

const { firstAt, times }: { firstAt: number; times: Float64Array } = workerData
const cell = new Int32Array(new SharedArrayBuffer(4))

for (const [index, time] of times.entries()) {
  const waitMs = firstAt + time - (performance.timeOrigin + performance.now())
  if (waitMs > 0) Atomics.wait(cell, 0, 0, waitMs)
  parentPort?.postMessage(index)
}
