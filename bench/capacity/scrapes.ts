/** What was read from one pod, and the samples that metrics-server and Prometheus would make of it. */
import type { Sample } from './hpa-replicas.ts'

export interface Scrape {
  everyMs: number
  /** What `rate()` looks back over. */
  rateMs: number
}

export interface Scraped {
  atMs: number
  /** Since the start. */
  cpuMs: number
  requests: number
  /** At the moment. */
  streams: number
  bytes: number
}

export interface Scrapes {
  add(scraped: Scraped): void
  /** By the names that the autoscaler knows. */
  samples(): Record<string, Sample | undefined>
}

export function createScrapes({ everyMs, rateMs }: Scrape): Scrapes {
  let kept: Scraped[] = []

  /** A pod that was read once has no rate yet. */
  const perSecond = (value: (of: Scraped) => number, backMs: number): Sample | undefined => {
    const last = kept.at(-1)
    // Half a period more: scrapes are not exactly on time.
    const first = last && kept.find(({ atMs }) => atMs >= last.atMs - backMs - everyMs / 2)
    if (!last || !first || first === last) return undefined
    const windowMs = last.atMs - first.atMs
    return { value: ((value(last) - value(first)) / windowMs) * 1_000, atMs: last.atMs, windowMs }
  }
  const lately = (value: (of: Scraped) => number): Sample | undefined => {
    const last = kept.at(-1)
    return last && { value: value(last), atMs: last.atMs, windowMs: 0 }
  }

  return {
    add(scraped) {
      kept = kept.filter(({ atMs }) => atMs > scraped.atMs - Math.max(rateMs, everyMs) - everyMs)
      kept.push(scraped)
    },
    samples: () => ({
      cpu: perSecond((of) => of.cpuMs / 1_000, everyMs),
      memory: lately((of) => of.bytes),
      http_requests_per_second: perSecond((of) => of.requests, rateMs),
      streams_in_flight: lately((of) => of.streams),
    }),
  }
}
