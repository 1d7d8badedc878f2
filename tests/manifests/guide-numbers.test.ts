/** The guide's numbers and names, against what a cluster would be sent. */
import { beforeAll, expect, test } from 'vitest'
import { find, type KubernetesObject, render } from '../support/manifests.ts'

let objects: KubernetesObject[]

beforeAll(async () => {
  objects = await render('.')
}, 120_000)

const hpa = () => find(objects, 'HorizontalPodAutoscaler', 'aiserve-gpuproxy-hpa').spec
const deployment = () => find(objects, 'Deployment')
const gateway = () => deployment().spec.template.spec.containers[0]
const settings = () => find(objects, 'ConfigMap', 'aiserve-gpuproxy-config').data

test('3 to 50 pods, 70 % CPU, 80 % memory, 1,000 requests/s per pod', () => {
  expect([hpa().minReplicas, hpa().maxReplicas]).toEqual([3, 50])
  expect(hpa().metrics).toEqual([
    { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } },
    { type: 'Resource', resource: { name: 'memory', target: { type: 'Utilization', averageUtilization: 80 } } },
    {
      type: 'Pods',
      pods: { metric: { name: 'http_requests_per_second' }, target: { type: 'AverageValue', averageValue: '1000' } },
    },
    {
      type: 'Pods',
      pods: { metric: { name: 'streams_in_flight' }, target: { type: 'AverageValue', averageValue: '500' } },
    },
  ])
})

test('up at once, down after five minutes', () => {
  expect(hpa().behavior.scaleUp.stabilizationWindowSeconds).toBe(0)
  expect(hpa().behavior.scaleDown.stabilizationWindowSeconds).toBe(300)
})

test('200m and 256Mi asked for, 1000m and 1Gi at most', () => {
  expect(gateway().resources).toEqual({
    requests: { cpu: '200m', memory: '256Mi' },
    limits: { cpu: '1000m', memory: '1Gi' },
  })
})

test('the pools and retries of the guide', () => {
  expect(settings()).toMatchObject({
    DB_MAX_CONNS: '100',
    DB_MIN_CONNS: '25',
    DB_MAX_CONN_LIFETIME: '30m',
    RETRY_INITIAL_BACKOFF: '100ms',
    RETRY_MAX_BACKOFF: '10s',
    RETRY_MULTIPLIER: '2',
    RETRY_MAX_ATTEMPTS: '3',
    AUTOSCALER_POD_USD: '50',
    AUTOSCALER_SPEND_CAP_USD: '2500',
  })
})

test('a rollout adds two pods and takes none away before they are ready', () => {
  expect(deployment().spec.strategy).toEqual({
    type: 'RollingUpdate',
    rollingUpdate: { maxSurge: 2, maxUnavailable: 0 },
  })
})

test('the names, labels and secrets that the commands look for', () => {
  const named = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
  for (const name of [
    'Deployment/aiserve-gpuproxy',
    'Service/aiserve-gpuproxy',
    'HorizontalPodAutoscaler/aiserve-gpuproxy-hpa',
    'PodDisruptionBudget/aiserve-gpuproxy-pdb',
    'ConfigMap/aiserve-gpuproxy-config',
    'NetworkPolicy/aiserve-gpuproxy',
  ]) {
    expect(named).toContain(name)
  }
  for (const { kind, metadata } of objects) if (kind !== 'PriorityClass') expect(metadata.namespace).toBe('default')
  expect(deployment().spec.template.metadata.labels).toEqual({ app: 'aiserve-gpuproxy' })
  expect(deployment().spec.template.spec.imagePullSecrets).toEqual([{ name: 'ocir-credentials' }])

  const wanted: Record<string, string[]> = {}
  for (const { valueFrom } of gateway().env) {
    const { name, key, optional } = valueFrom.secretKeyRef
    wanted[name] = [...(wanted[name] ?? []), optional ? `${key}?` : key]
  }
  expect(wanted).toMatchObject({
    'database-secret': ['host', 'database', 'username', 'password', 'replicas?'],
    'redis-secret': ['host', 'password?'],
    'jwt-secret': ['secret', 'previous?'],
  })
  expect(wanted['provider-secrets']!.every((key) => key.endsWith('?'))).toBe(true)
})

test('any pod answers any request', () => {
  expect(find(objects, 'Service').spec).toMatchObject({ sessionAffinity: 'None', type: 'ClusterIP' })
})
