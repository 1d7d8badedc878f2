/** What a careful cluster asks of everything that runs in it, and what ties the manifests to the gateway. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadConfig, variables } from '../../src/config.ts'
import { find, type KubernetesObject, manifests, render, renderComponent } from '../support/manifests.ts'
import { components, overlays } from './folders.ts'

const rendered = new Map<string, KubernetesObject[]>()
const base = () => rendered.get('.')!

beforeAll(async () => {
  for (const folder of ['.', ...overlays]) rendered.set(folder, await render(folder))
  for (const name of components) rendered.set(`components/${name}`, await renderComponent(name))
}, 120_000)

interface Workload {
  where: string
  object: KubernetesObject
}

const workloads = (): Workload[] =>
  [...rendered].flatMap(([folder, objects]) =>
    objects
      .filter(({ kind }) => ['Deployment', 'StatefulSet', 'Job', 'DaemonSet'].includes(kind))
      .map((object) => ({ where: `${folder}: ${object.kind}/${object.metadata.name}`, object })),
  )
const pod = ({ object }: Workload) => object.spec.template.spec

/** Where a rule does not hold. */
const broken = (holds: (workload: Workload) => boolean) =>
  workloads()
    .filter((workload) => !holds(workload))
    .map(({ where }) => where)
// biome-ignore lint/suspicious/noExplicitAny: its shape is the schema's.
const everyContainer = (rule: (container: any) => boolean) =>
  broken((workload) => [...(pod(workload).initContainers ?? []), ...pod(workload).containers].every(rule))
const longRunning = ({ object }: Workload) => object.kind !== 'Job'

describe('every workload of the base, the overlays and the components', () => {
  test('names the version of its image', () => {
    expect(workloads().length).toBeGreaterThan(15)
    expect(everyContainer(({ image }) => /:[\w.-]+$/.test(image) && !image.endsWith(':latest'))).toEqual([])
  })

  test('asks for what it needs and is held to a limit', () => {
    const wanted = ['cpu', 'memory']
    expect(
      everyContainer(({ resources }) => wanted.every((name) => resources.requests[name] && resources.limits[name])),
    ).toEqual([])
  })

  test('runs without root, rights, a writable root or the cluster’s token', () => {
    expect(
      broken((workload) => {
        const { securityContext, automountServiceAccountToken } = pod(workload)
        return (
          securityContext.runAsNonRoot === true &&
          securityContext.runAsUser > 0 &&
          securityContext.seccompProfile.type === 'RuntimeDefault' &&
          automountServiceAccountToken === false
        )
      }),
    ).toEqual([])
    expect(
      everyContainer(
        ({ securityContext: own }) =>
          own.allowPrivilegeEscalation === false &&
          own.readOnlyRootFilesystem === true &&
          own.capabilities.drop.includes('ALL') &&
          !own.privileged,
      ),
    ).toEqual([])
    expect(broken((w) => !pod(w).hostNetwork && !pod(w).hostPID && !pod(w).hostIPC)).toEqual([])
    expect(broken((w) => !(pod(w).volumes ?? []).some((volume: object) => 'hostPath' in volume))).toEqual([])
  })

  test('bounds what it writes to the node', () => {
    const unbounded = broken((w) =>
      (pod(w).volumes ?? []).every(
        ({ emptyDir }: { emptyDir?: { sizeLimit?: string } }) => !emptyDir || emptyDir.sizeLimit,
      ),
    )
    expect(unbounded).toEqual([])
  })

  test('is probed where it runs on, and ends where it is a job', () => {
    const probed = broken(
      (w) =>
        !longRunning(w) || pod(w).containers.every((c: Record<string, unknown>) => c.livenessProbe && c.readinessProbe),
    )
    expect(probed).toEqual([])
    expect(broken(({ object }) => object.kind !== 'Job' || object.spec.activeDeadlineSeconds > 0)).toEqual([])
  })

  test('leaves its number to the scaler, wherever there is one: an apply would set it back', () => {
    const both = workloads().filter(({ where, object }) => {
      const objects = rendered.get(where.split(': ')[0]!)!
      const isScaled = objects.some(
        ({ kind, spec }) =>
          (kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject') &&
          spec.scaleTargetRef.name === object.metadata.name &&
          (spec.maxReplicas ?? spec.maxReplicaCount) > 3,
      )
      return isScaled && object.spec.replicas !== undefined
    })
    expect(both.map(({ where }) => where)).toEqual([])
  })

  test('spreads over nodes where it is several, and keeps one when some are moved', () => {
    // Where it is not said, a scaler says it.
    const replicasOf = ({ where, object }: Workload): number => {
      const scaler = rendered
        .get(where.split(': ')[0]!)!
        .find(
          ({ kind, spec }) => kind === 'HorizontalPodAutoscaler' && spec.scaleTargetRef.name === object.metadata.name,
        )
      return object.spec.replicas ?? scaler?.spec.minReplicas ?? 1
    }
    const several = (w: Workload) => longRunning(w) && replicasOf(w) > 1
    expect(broken((w) => !several(w) || pod(w).topologySpreadConstraints?.length > 0)).toEqual([])
    const unprotected = workloads().filter((w) => {
      const objects = rendered.get(w.where.split(': ')[0]!)!
      const labels = w.object.spec.template.metadata.labels
      const budget = objects.find(
        ({ kind, spec }) => kind === 'PodDisruptionBudget' && spec.selector.matchLabels.app === labels.app,
      )
      if (!several(w)) return false
      // As many must stay as to answer, and one must be allowed to go, or no node can ever be drained.
      const { minAvailable, maxUnavailable } = budget?.spec ?? {}
      return !(maxUnavailable >= 1 || (minAvailable >= 1 && minAvailable < replicasOf(w)))
    })
    expect(unprotected.map(({ where }) => where)).toEqual([])
  })

  test('has one autoscaler at most, and no vertical one', () => {
    for (const objects of rendered.values()) {
      const scalers = objects.filter(({ kind }) => ['HorizontalPodAutoscaler', 'ScaledObject'].includes(kind))
      expect(scalers).toHaveLength(1)
      expect(objects.filter(({ kind }) => kind === 'VerticalPodAutoscaler')).toEqual([])
    }
  })
})

describe('the gateway', () => {
  const gateway = () => find(base(), 'Deployment').spec.template.spec
  const container = () => gateway().containers[0]
  const settings = () => find(base(), 'ConfigMap', 'aiserve-gpuproxy-config').data as Record<string, string>
  const seconds = (duration: string) => Number(duration.replace(/s$/, ''))

  test('is given only variables that it reads, and values that it takes', () => {
    const unknown = [...rendered].flatMap(([folder, objects]) => {
      const config = objects.find(({ metadata }) => metadata.name === 'aiserve-gpuproxy-config')!
      const names = Object.keys(config.data)
      for (const { name } of find(objects, 'Deployment').spec.template.spec.containers[0].env) names.push(name)
      return names
        .filter((name) => !(name.replace(/_FILE$/, '') in variables) && name !== 'NODE_OPTIONS')
        .map((name) => `${folder}: ${name}`)
    })
    expect(unknown).toEqual([])
    for (const objects of rendered.values()) {
      const { data } = find(objects, 'ConfigMap', 'aiserve-gpuproxy-config')
      const secrets = { DB_HOST: 'db', JWT_SECRET: 'x'.repeat(32) }
      expect(() => loadConfig({ ...data, ...secrets }, () => '')).not.toThrow()
    }
    expect(() => loadConfig({ ...settings(), DB_HOST: 'db' }, () => '')).toThrow('JWT_SECRET must be set')
  })

  test('has longer to end than it takes', () => {
    const ledgerAndSocketsS = 25
    const { preStop } = container().lifecycle
    const drain = seconds(settings().DRAIN_DELAY!) + seconds(settings().DRAIN_TIMEOUT!)
    expect(gateway().terminationGracePeriodSeconds).toBe(preStop.sleep.seconds + drain + ledgerAndSocketsS)
    // A rollout that waits for a drain is no failed one.
    expect(find(base(), 'Deployment').spec.progressDeadlineSeconds).toBeGreaterThan(
      gateway().terminationGracePeriodSeconds,
    )
  })

  test('is asked three different things by three probes', () => {
    const { startupProbe, livenessProbe, readinessProbe } = container()
    const paths = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path)
    expect(paths).toEqual(['/startupz', '/livez', '/readyz'])
  })

  test('has a heap that leaves room within its limit', () => {
    const heap = Number(/--max-old-space-size=(\d+)/.exec(settings().NODE_OPTIONS!)![1])
    const limit = container().resources.limits.memory
    expect(limit).toBe('1Gi')
    expect(heap).toBeLessThanOrEqual(512)
    // The journal has its own folder, larger than the journal may become.
    const data = gateway().volumes.find(({ name }: { name: string }) => name === 'data').emptyDir.sizeLimit
    const journalMb = Number(settings().JOURNAL_MAX_MB ?? variables.JOURNAL_MAX_MB.default)
    expect(Number.parseInt(data, 10)).toBeGreaterThan(journalMb)
  })

  test('forecasts by the same targets as its autoscaler', () => {
    const targets = Object.fromEntries(
      find(base(), 'HorizontalPodAutoscaler', 'aiserve-gpuproxy-hpa')
        .spec.metrics.filter(({ type }: { type: string }) => type === 'Pods')
        // biome-ignore lint/suspicious/noExplicitAny: its shape is the schema's.
        .map(({ pods }: any) => [pods.metric.name, pods.target.averageValue]),
    )
    expect(targets).toEqual({
      http_requests_per_second: settings().AUTOSCALER_POD_REQUESTS_PER_SECOND,
      streams_in_flight: settings().AUTOSCALER_POD_STREAMS,
    })
    const { maxReplicas } = find(base(), 'HorizontalPodAutoscaler', 'aiserve-gpuproxy-hpa').spec
    expect(Number(settings().AUTOSCALER_SPEND_CAP_USD)).toBe(maxReplicas * Number(settings().AUTOSCALER_POD_USD))
  })

  test('keeps all metrics of its autoscaler known to prometheus-adapter', () => {
    const rules = readFileSync(join(manifests, 'components/prometheus-adapter/config.yaml'), 'utf8')
    for (const name of ['http_requests_per_second', 'streams_in_flight', 'autoscaler_desired_replicas']) {
      expect(rules).toContain(`name: { as: ${name} }`)
    }
  })

  test('is behind an ingress that leaves to it how long an answer and how large a body may be', () => {
    const { annotations } = find(rendered.get('components/ingress')!, 'Ingress').metadata
    const said = (name: string) => annotations![`nginx.ingress.kubernetes.io/${name}`]
    // A machine is sent files of any size: with a limit here the largest were nginx's to refuse, in its own words.
    expect(said('proxy-body-size')).toBe('0')
    expect([said('proxy-buffering'), said('proxy-request-buffering')]).toEqual(['off', 'off'])
    expect(Number(said('proxy-read-timeout'))).toBeGreaterThan(600)
  })

  test('has in each component a patch that still finds what it changes', () => {
    const changed = (name: string) => rendered.get(`components/${name}`)!
    const env = (name: string) =>
      Object.fromEntries(
        // biome-ignore lint/suspicious/noExplicitAny: its shape is the schema's.
        find(changed(name), 'Deployment').spec.template.spec.containers[0].env.map((one: any) => [one.name, one]),
      )
    expect(env('pgbouncer').DB_HOST).toEqual({ name: 'DB_HOST', value: 'aiserve-gpuproxy-pgbouncer' })
    expect(env('redis-cluster')).not.toHaveProperty('REDIS_HOST')
    expect(env('redis-cluster')).toHaveProperty('REDIS_PASSWORD')
    expect(env('routing-file').GATEWAY_CONFIG.value).toBe('/etc/aiserve-gpuproxy/routing.yaml')
    // Both at once would be refused at start.
    expect(env('routing-file')).not.toHaveProperty('OPENAI_API_KEY')
    expect(env('routing-file').OPENAI_API_KEY_FILE.value).toBe('/etc/provider-secrets/OPENAI_API_KEY')
    const [trigger] = find(changed('keda'), 'ScaledObject').spec.triggers
    // `Value` would multiply what the pods ask for by the pods that there are.
    expect(trigger).toMatchObject({ metricType: 'AverageValue', metadata: { threshold: '1' } })
    expect(trigger.metadata.query).toBe('avg(autoscaler_desired_replicas)')
    expect(find(changed('forecast'), 'HorizontalPodAutoscaler', 'aiserve-gpuproxy-hpa').spec.metrics.at(-1)).toEqual({
      type: 'External',
      external: {
        metric: { name: 'autoscaler_desired_replicas' },
        target: { type: 'AverageValue', averageValue: '1' },
      },
    })
  })

  test('spreads over Citus the tables that docs/scaling.md names', () => {
    const page = readFileSync(join(manifests, '../docs/scaling.md'), 'utf8')
    const statements = (text: string) =>
      [...text.matchAll(/^select create_(?:reference|distributed)_table\(.*$/gm)].map(String)
    const { data } = find(rendered.get('components/citus')!, 'ConfigMap', 'aiserve-gpuproxy-citus')
    expect(statements(data['distribute.sql'])).toEqual(statements(page))
    expect(statements(page).length).toBeGreaterThan(20)
  })

  test('shares the primary’s connections between the regions', () => {
    const shares = ['us-ashburn-1', 'eu-frankfurt-1'].map((region) => {
      const { data } = find(rendered.get(`overlays/regions/${region}`)!, 'ConfigMap', 'aiserve-gpuproxy-config')
      return { connections: Number(data.DB_FLEET_MAX_CONNS), prefix: data.CACHE_KEY_PREFIX }
    })
    expect(shares[0]!.connections + shares[1]!.connections).toBe(Number(settings().DB_FLEET_MAX_CONNS))
    expect(shares[0]!.prefix).not.toBe(shares[1]!.prefix)
  })
})
