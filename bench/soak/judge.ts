/** What a soak found, against what it must not find. */
import { atLeast, atMost, type Bar, told } from '../bars.ts'
import type { Sent } from '../gameday/load.ts'
import { median } from '../statistics.ts'
import type { Spell } from './faults.ts'

/** Of one gateway, in minutes since the soak began. */
export interface Sample {
  minute: number
  pod: number
  mib: number
  /** Open descriptors, when nothing is under way; undefined = something is. */
  descriptors?: number
}

/** A fault is felt so long after it is over: circuits that are still open, connections that must be made anew. */
const aftermathMs = 10_000
/** A third of the time: caches fill and code is compiled. */
const warmUpShare = 1 / 3
const most = { slope: 1, descriptors: 10 }

/** Least squares, in MiB a minute. */
export function slopeOf(samples: readonly Pick<Sample, 'minute' | 'mib'>[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [mean(samples.map(({ minute }) => minute)), mean(samples.map(({ mib }) => mib))]
  const over = samples.reduce((sum, { minute, mib }) => sum + (minute - x) * (mib - y), 0)
  return over / samples.reduce((sum, { minute }) => sum + (minute - x) ** 2, 0)
}

/**
 * An answer that is not whole is explained by a fault that it met, and then only where its caller was told. `ms` is
 * long where it waited for somebody silent.
 */
export function unexplained(sent: readonly Sent[], spells: readonly Spell[]): Sent[] {
  const met = ({ at, ms }: Sent) => spells.some(({ from, to }) => at <= to + aftermathMs && at + ms >= from)
  const wasTold = ({ status, silentlyCut }: Sent) =>
    !silentlyCut && (status === 200 || [429, 502, 503, 504].includes(status))
  return sent.filter((one) => !one.whole && !(met(one) && wasTold(one)))
}

export function judgeGateways(samples: readonly Sample[], minutes: number): Bar[] {
  return [...Map.groupBy(samples, ({ pod }) => pod)].flatMap(([pod, own]) => {
    const warm = own.filter(({ minute }) => minute >= minutes * warmUpShare)
    const atRest = warm.flatMap(({ descriptors }) => descriptors ?? [])
    const third = Math.ceil(atRest.length / 3)
    const growth = median(atRest.slice(-third)) - median(atRest.slice(0, third))
    const mib = warm.map((sample) => sample.mib)
    return [
      atMost(`gateway ${pod}: memory grows after the first third by`, most.slope, slopeOf(warm), ' MiB/min'),
      atMost(`gateway ${pod}: open descriptors at rest, the last third above the first`, most.descriptors, growth),
      told(
        `gateway ${pod}: memory after the first third`,
        `${Math.min(...mib).toFixed(0)} to ${Math.max(...mib).toFixed(0)} MiB; ${atRest.at(-1)} descriptors`,
      ),
    ]
  })
}

export const enough = (requests: number) => atLeast('requests', 1, requests)
