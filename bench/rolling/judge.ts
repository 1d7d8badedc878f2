import { atLeast, atMost, type Bar, told } from '../bars.ts'
import { total } from '../statistics.ts'
import type { RollingOptions, RollingResult } from './run.ts'

export function judge({ pods, streams }: RollingOptions, result: RollingResult): Bar[] {
  const { requests, streams: long, stops, graceMs } = result
  const own = stops.map((stop) => stop.own)
  return [
    atLeast('pods restarted', pods, stops.length),
    atLeast('requests answered', 1, requests.whole),
    atMost(`requests failed${kinds(requests.failed)}`, 0, total(requests.failed)),
    atLeast('streams whole', streams, long.whole),
    atMost(`streams cut or refused${kinds(long.failed)}`, 0, total(long.failed)),
    atLeast('streams live at each signal', streams, Math.min(...stops.map(({ live }) => live))),
    // A pod that relays none has nothing to keep.
    atLeast('of them the pod’s own, at least', 1, Math.min(...own)),
    told('the pods’ own', own.join(', ')),
    atMost('ends with another code than 0', 0, stops.filter(({ exitCode }) => exitCode !== 0).length),
    atMost('slowest end', graceMs / 1000, Math.max(...stops.map(({ ms }) => ms)) / 1000, ' s'),
  ]
}

const kinds = (failed: Record<string, number>) => {
  const all = Object.entries(failed).map(([kind, count]) => `${count} ${kind}`)
  return all.length > 0 ? ` (${all.join(', ')})` : ''
}
