import { expect, test } from 'vitest'
import { createHpa } from '../../../bench/capacity/hpa.ts'
import { policies } from '../../../bench/capacity/policies.ts'

test('the manifests’ rules take four syncs from 3 pods to 50, and half an hour back', () => {
  const hpa = createHpa(policies.forecast.hpa)
  const seen: number[] = []
  const sync = (i: number, wanted: number) => {
    const view = { nowMs: i * 15_000, replicas: seen.at(-1) ?? 3, pods: [] }
    seen.push(hpa.sync({ ...view, external: { autoscaler_desired_replicas: wanted } }))
  }
  for (let i = 0; i < 5; i++) sync(i, 100)
  expect(seen).toEqual([7, 14, 28, 50, 50])
  for (let i = 5; seen.at(-1)! > 3; i++) sync(i, 1)
  expect(((seen.length - 5) * 15) / 60).toBeCloseTo(31)
})
