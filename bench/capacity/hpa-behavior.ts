/**
 * How fast a horizontal pod autoscaler lets replicas change (`spec.behavior`): the most careful of the recommendations of
 * a stabilisation window, then what the policies of the direction allow in their periods. KEP-853.
 */

export interface Policy {
  type: 'Percent' | 'Pods'
  value: number
  periodMs: number
}

export interface ScalingRules {
  stabilizationMs: number
  /** `Max`: the policy that allows the largest change. */
  selectPolicy: 'Max' | 'Min' | 'Disabled'
  policies: readonly Policy[]
}

export interface Behavior {
  scaleUp: ScalingRules
  scaleDown: ScalingRules
}

export const defaultBehavior: Behavior = {
  scaleUp: {
    stabilizationMs: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 100, periodMs: 15_000 },
      { type: 'Pods', value: 4, periodMs: 15_000 },
    ],
  },
  scaleDown: {
    stabilizationMs: 300_000,
    selectPolicy: 'Max',
    policies: [{ type: 'Percent', value: 100, periodMs: 15_000 }],
  },
}

export interface Limits {
  minReplicas: number
  maxReplicas: number
}

interface Dated {
  atMs: number
  /** Replicas recommended, or by how many they changed. */
  count: number
}

export interface History {
  recommendations: Dated[]
  ups: Dated[]
  downs: Dated[]
}

export const noHistory = (): History => ({ recommendations: [], ups: [], downs: [] })

/** Never more careful than what holds now: within a window nothing changes rather than change back. */
export function stabilise(
  wanted: number,
  current: number,
  { scaleUp, scaleDown }: Behavior,
  history: History,
  nowMs: number,
): number {
  const since = (windowMs: number) => history.recommendations.filter(({ atMs }) => atMs > nowMs - windowMs)
  const atLeast = Math.min(wanted, ...since(scaleUp.stabilizationMs).map(({ count }) => count))
  const atMost = Math.max(wanted, ...since(scaleDown.stabilizationMs).map(({ count }) => count))
  const keptMs = Math.max(scaleUp.stabilizationMs, scaleDown.stabilizationMs)
  history.recommendations = [...since(keptMs), { atMs: nowMs, count: wanted }]
  return Math.min(Math.max(current, atLeast), atMost)
}

/** As far towards `wanted` as policies, minimum and maximum allow. */
export function limitRate(
  wanted: number,
  current: number,
  behavior: Behavior,
  { minReplicas, maxReplicas }: Limits,
  history: History,
  nowMs: number,
): number {
  if (wanted > current) {
    const limit = Math.max(current, furthest(current, behavior.scaleUp, 1, history, nowMs))
    return Math.min(wanted, maxReplicas, limit)
  }
  if (wanted < current) {
    const limit = Math.min(current, furthest(current, behavior.scaleDown, -1, history, nowMs))
    return Math.max(wanted, minReplicas, limit)
  }
  return wanted
}

function furthest(current: number, rules: ScalingRules, direction: 1 | -1, history: History, nowMs: number): number {
  if (rules.selectPolicy === 'Disabled') return current
  const changed = (events: readonly Dated[], periodMs: number) =>
    events.reduce((sum, { atMs, count }) => (atMs > nowMs - periodMs ? sum + count : sum), 0)
  const proposals = rules.policies.map(({ type, value, periodMs }) => {
    const before = current - changed(history.ups, periodMs) + changed(history.downs, periodMs)
    if (type === 'Pods') return before + direction * value
    // Rounded towards more pods, both ways: one pod could never become two, and the last is not taken for a fraction.
    return direction > 0 ? Math.ceil((before * (100 + value)) / 100) : Math.trunc((before * (100 - value)) / 100)
  })
  const largestChange = rules.selectPolicy === 'Max'
  return largestChange === direction > 0 ? Math.max(...proposals) : Math.min(...proposals)
}

export function noteChange(from: number, to: number, behavior: Behavior, history: History, nowMs: number): void {
  const up = to > from
  const policies = up ? behavior.scaleUp.policies : behavior.scaleDown.policies
  // The other direction's policies look at these, too.
  const all = [...policies, ...(up ? behavior.scaleDown.policies : behavior.scaleUp.policies)]
  const keptMs = Math.max(0, ...all.map(({ periodMs }) => periodMs))
  const events = (up ? history.ups : history.downs).filter(({ atMs }) => atMs > nowMs - keptMs)
  events.push({ atMs: nowMs, count: Math.abs(to - from) })
  if (up) history.ups = events
  else history.downs = events
}
