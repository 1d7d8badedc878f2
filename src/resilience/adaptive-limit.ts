/**
 * How many calls at once an upstream can take, learned from how long it takes to begin its answers (Gradient2, with
 * time to first token as the round trip). The limit starts at its maximum and comes down on evidence only.
 *
 * A sample is compared with the long-running average of the same model: models differ more than load changes them. A
 * window ends in one decision. Slow means that even the lower bound of the median ratio is high: a few long prompts, or
 * one noisy window of a quiet hour, prove nothing. What comes down is what was in flight, not the limit, which may have
 * been far above it; so the first decision bites. Where several make it no faster, our calls are not why it is slow.
 */
import type { Clock } from './clock.ts'

export interface AdaptiveLimitOptions {
  clock: Clock
  /** Calls at once, at most and to begin with. */
  maxLimit: number
  /** Calls at once, at least; less than that never tells whether the upstream has recovered. @default 20 */
  minLimit?: number
  /** Told of each change. */
  onChange?: (limit: number) => void
}

export interface LimitSample {
  /** What it is compared with: the model. */
  baseline: string
  /**
   * From sending to the first token, in ms; of no account when dropped. Undefined = the answer came as a whole, which tells
   * how long it is and not when it began: it counts beside those that were dropped, and where no streams come the limit
   * grows by it.
   */
  rttMs: number | undefined
  /** Calls under way, this one included. */
  inFlight: number
  /** It got a server's failure, or nothing in time. */
  dropped?: boolean
}

export interface AdaptiveLimit {
  sample(sample: LimitSample): void
  readonly limit: number
}

/** The usual time of one model, as a mean of logarithms: one answer a hundred times late moves it little. */
interface Baseline {
  mean: number
  /** Samples in the mean, up to its memory. */
  samples: number
  windowSum: number
  windowSamples: number
}

const minWindowMs = 1_000
const minWindowSamples = 20
/** More of one window are counted, but not compared. */
const maxWindowRatios = 1_000
/** The mean forgets after about this many samples. */
const baselineMemory = 600
/**
 * What a window teaches the baseline in which it was slow or the limit was felt, against a calm one. At full learning
 * the upstream's slowest pace that is not yet slow would become the usual one, and that again, without end.
 */
const pressedLearning = 0.002
/** After so many slow windows in a row the next is the new usual. */
const maxSlowWindows = 10
/** Models kept; the least recently used goes. */
const maxBaselines = 256
/**
 * Added to every time before it is compared. A loop that is late makes all upstreams look slow, and what is then to be
 * limited is the pod: an upstream is slow when a loop as late as that would not explain it.
 */
const ownDelayMs = 200
/** A median this many times the usual is slow. */
const tolerance = Math.log(1.3)
/** Standard errors between the median and its lower bound. */
const certainty = 3
const minGradient = 0.5
/** Of all calls. Below this share of drops they are the upstream's everyday failures: retries deal with those. */
const dropShare = 0.1
const dropGradient = 0.9

export function createAdaptiveLimit({ clock, maxLimit, minLimit = 20, onChange }: AdaptiveLimitOptions): AdaptiveLimit {
  if (!(maxLimit >= 1)) throw new TypeError(`maxLimit must be at least 1, got ${maxLimit}`)
  if (!(minLimit >= 1)) throw new TypeError(`minLimit must be at least 1, got ${minLimit}`)
  const lowest = Math.min(minLimit, maxLimit)
  const baselines = new Map<string, Baseline>()
  /** Logarithms of time over usual time, of this window. */
  const ratios = new Float64Array(maxWindowRatios)
  let limit = maxLimit
  let slowWindows = 0
  /** The last window lowered the limit: the answers of this one were asked for before. */
  let settling = false
  let window = newWindow(clock.now())
  /** Whole answers since the latest stream. */
  let wholes = newWindow(clock.now())

  const baselineOf = (name: string): Baseline => {
    const baseline = baselines.get(name) ?? { mean: 0, samples: 0, windowSum: 0, windowSamples: 0 }
    baselines.delete(name)
    baselines.set(name, baseline)
    if (baselines.size > maxBaselines) baselines.delete(baselines.keys().next().value!)
    return baseline
  }

  const isFelt = ({ peak }: Window) => peak >= limit / 2
  const manyDropped = ({ calls, dropped }: Window) => dropped > calls * dropShare
  const grown = () => limit + Math.sqrt(limit)

  const set = (to: number) => {
    const next = Math.min(Math.max(Math.floor(to), lowest), maxLimit)
    if (next === limit) return
    limit = next
    onChange?.(limit)
  }

  const count = (of: Window, inFlight: number, dropped: boolean) => {
    of.calls++
    of.peak = Math.max(of.peak, inFlight)
    if (dropped) of.dropped++
  }

  const isOver = (calls: number, { since }: Window) => calls >= minWindowSamples && clock.now() - since >= minWindowMs

  const decide = (slowness: number): number => {
    const base = Math.min(limit, window.peak)
    if (slowness > tolerance) return base * Math.max(Math.exp(-slowness), minGradient)
    if (manyDropped(window)) return base * dropGradient
    return isFelt(window) ? grown() : limit
  }

  const endWindow = () => {
    const slowness = lowerMedian(ratios.subarray(0, window.ratios))
    slowWindows = slowness > tolerance ? slowWindows + 1 : 0
    if (slowWindows > maxSlowWindows) {
      slowWindows = 0
      for (const baseline of baselines.values()) baseline.samples = 0
    }
    const lesson = slowWindows > 0 || isFelt(window) ? pressedLearning : 1
    for (const baseline of baselines.values()) learn(baseline, lesson)
    const before = limit
    if (!settling) set(decide(slowness))
    settling = limit < before
    window = newWindow(clock.now())
  }

  /** Where no streams come any more, nothing else takes back what they lowered. Their own window waits for the next. */
  const endWholes = () => {
    if (isFelt(wholes) && !manyDropped(wholes)) set(grown())
    wholes = newWindow(clock.now())
  }

  return {
    sample({ baseline: name, rttMs, inFlight, dropped = false }) {
      count(window, inFlight, dropped)
      if (rttMs === undefined) {
        count(wholes, inFlight, dropped)
        if (isOver(wholes.calls, wholes)) endWholes()
        return
      }
      wholes = newWindow(clock.now())
      window.streams++
      if (!dropped) {
        const baseline = baselineOf(name)
        const log = Math.log(Math.max(rttMs, 0) + ownDelayMs)
        // The first window of a model has nothing to compare with.
        if (baseline.samples > 0 && window.ratios < maxWindowRatios) ratios[window.ratios++] = log - baseline.mean
        baseline.windowSum += log
        baseline.windowSamples++
      }
      if (isOver(window.streams, window)) endWindow()
    },
    get limit() {
      return limit
    },
  }
}

/** `streams`: those of `calls` by which a window is long enough. */
const newWindow = (since: number) => ({ since, calls: 0, streams: 0, ratios: 0, dropped: 0, peak: 0 })
type Window = ReturnType<typeof newWindow>

function learn(baseline: Baseline, lesson: number): void {
  const { windowSum, windowSamples } = baseline
  if (windowSamples === 0) return
  const first = baseline.samples === 0
  baseline.samples = Math.min(baseline.samples + windowSamples, Math.max(baselineMemory, windowSamples))
  const weight = first ? 1 : (windowSamples / baseline.samples) * lesson
  baseline.mean += weight * (windowSum / windowSamples - baseline.mean)
  baseline.windowSum = 0
  baseline.windowSamples = 0
}

/** The lower end of the median's confidence interval, whatever the distribution. Few values prove nothing. */
function lowerMedian(values: Float64Array): number {
  const rank = Math.floor((values.length - certainty * Math.sqrt(values.length)) / 2)
  return rank < 0 ? 0 : (values.sort()[rank] ?? 0)
}
