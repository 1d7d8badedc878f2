import { expect, test } from 'vitest'
import { judge } from '../../bench/rolling/judge.ts'
import { type RollingResult, runRolling } from '../../bench/rolling/run.ts'

const options = { pods: 2, requestsPerSecond: 20, streams: 4, tokenIntervalMs: 20 }
const stop = { live: 4, own: 2, exitCode: 0, ms: 4_000 }
const good: RollingResult = {
  requests: { whole: 500, failed: {} },
  streams: { whole: 20, failed: {} },
  stops: [stop, stop],
  graceMs: 88_000,
}
const missed = (own: Partial<RollingResult>) =>
  judge(options, { ...good, ...own })
    .filter(({ met }) => !met)
    .map(({ name }) => name)

test('a restart that nobody notices passes', () => {
  expect(missed({})).toEqual([])
})

test.each<[string, Partial<RollingResult>, string]>([
  ['one request fails', { requests: { whole: 499, failed: { '502 ': 1 } } }, 'requests failed (1 502 )'],
  ['nothing was asked', { requests: { whole: 0, failed: {} } }, 'requests answered'],
  ['one stream is cut', { streams: { whole: 19, failed: { cut: 1 } } }, 'streams cut or refused (1 cut)'],
  ['hardly a stream ran', { streams: { whole: 3, failed: {} } }, 'streams whole'],
  ['a pod was not restarted', { stops: [stop] }, 'pods restarted'],
  ['a pod ended badly', { stops: [stop, { ...stop, exitCode: 1 }] }, 'ends with another code than 0'],
  ['a pod was killed', { stops: [stop, { ...stop, exitCode: null }] }, 'ends with another code than 0'],
  ['a pod took too long', { stops: [stop, { ...stop, ms: 88_001 }] }, 'slowest end'],
  ['streams were missing', { stops: [stop, { ...stop, live: 3 }] }, 'streams live at each signal'],
  ['a pod had none', { stops: [stop, { ...stop, own: 0 }] }, 'of them the pod’s own, at least'],
])('it is seen when %s', (_, own, name) => {
  expect(missed(own)).toEqual([name])
})

test('two pods are restarted under a small load, and no answer is lost', async () => {
  const { requests, streams, stops } = await runRolling(options)
  // A machine that is busy with others makes a pod refuse, in its own words: that is no loss by the restart.
  const lost = ({ failed }: typeof requests) => Object.keys(failed).filter((kind) => kind !== '503 overloaded')
  expect([lost(requests), lost(streams)]).toEqual([[], []])
  expect(stops.map(({ exitCode }) => exitCode)).toEqual([0, 0])
  expect(Math.min(requests.whole, streams.whole)).toBeGreaterThan(0)
}, 180_000)
