/**
 * The guide's kubectl lines without a cluster: run where kubectl needs none, else read by the real kubectl up to the
 * connection, which leads nowhere, and their names, labels and fields looked up among the rendered objects.
 */
import { execFile } from 'node:child_process'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { loadConfig } from '../../src/config.ts'
import { findKubectl } from '../../tests/support/kubectl.ts'
import { find, type KubernetesObject } from '../../tests/support/manifests.ts'
import { wordsOf } from './lines.ts'

export interface Checked {
  how: 'run' | 'run without a cluster' | 'read and looked up'
  ok: boolean
  saw: string
}

const kinds: Record<string, string> = {
  deployment: 'Deployment',
  hpa: 'HorizontalPodAutoscaler',
  pdb: 'PodDisruptionBudget',
}
/** Nothing listens there. */
const nowhere = 'http://127.0.0.1:9'
const unreachable = /was refused|connection refused|Unable to connect/

/** @param objects of the base, as rendered */
export async function checkKubectl(command: string, objects: readonly KubernetesObject[]): Promise<Checked> {
  const args = wordsOf(command.split(' | ')[0]!.replace('k8s/hpa.yaml', 'manifests/hpa.yaml')).slice(1)
  if (args[0] === 'create') return createSecret(args, objects)
  if (args[0] === 'set' || args[0] === 'patch') {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'guide-'))
    return await changeLocally(args, objects, folder.path)
  }
  const looked = lookUp(args, objects)
  const { code, output } = await run(args)
  // That it got as far as asking a server says that it took every word of the line.
  const read = code !== 0 && unreachable.test(output)
  return {
    how: 'read and looked up',
    ok: read && looked.missing.length === 0,
    saw: read
      ? [...looked.found, ...looked.missing.map((name) => `NO ${name}`)].join(', ') || 'nothing of ours in it'
      : firstLine(output),
  }
}

/** The real thing, up to sending it: its keys must be those that the deployment reads. */
async function createSecret(args: string[], objects: readonly KubernetesObject[]): Promise<Checked> {
  const { code, output } = await run([...args, '--dry-run=client', '-o', 'json'])
  const how = 'run without a cluster'
  if (code !== 0) return { how, ok: false, saw: firstLine(output) }
  const secret = JSON.parse(output) as KubernetesObject & { data: Record<string, string> }
  const { containers, imagePullSecrets } = find(objects, 'Deployment').spec.template.spec
  const { name } = secret.metadata
  if (secret.type === 'kubernetes.io/dockerconfigjson') {
    return { how, ok: imagePullSecrets.some((one: { name: string }) => one.name === name), saw: `pull secret ${name}` }
  }
  const wanted = (
    containers[0].env as { valueFrom?: { secretKeyRef?: { name: string; key: string; optional?: boolean } } }[]
  )
    .flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])
    .filter((reference) => reference.name === name)
  const keys = Object.keys(secret.data)
  const known = keys.every((key) => wanted.some((reference) => reference.key === key))
  const whole = wanted.every(({ key, optional }) => optional || keys.includes(key))
  return { how, ok: known && whole, saw: `keys ${keys.sort().join(', ')}` }
}

/** `set env` and `patch` on the rendered object, with `--local`; the pod must still start with what comes out. */
async function changeLocally(args: string[], objects: readonly KubernetesObject[], folder: string): Promise<Checked> {
  const isEnv = args[0] === 'set'
  const [kind = '', name = ''] = isEnv ? args[2]!.split('/') : args.slice(1, 3)
  const object = find(objects, kinds[kind] ?? kind, name)
  const file = join(folder, 'object.yaml')
  await writeFile(file, stringify(object))
  const rest = args.slice(3).filter((word) => word !== '-n' && word !== 'default')
  const words = isEnv ? ['set', 'env'] : ['patch']
  const { code, output } = await run([...words, '--local', '-f', file, ...rest, '-o', 'json'])
  const how = 'run without a cluster'
  if (code !== 0) return { how, ok: false, saw: firstLine(output) }
  const changed = JSON.parse(output) as KubernetesObject
  if (!isEnv) {
    const [, patch = '{}'] = rest
    const { spec } = JSON.parse(patch) as { spec: Record<string, unknown> }
    // A field too many would be taken here, as by a server without strict validation.
    const ok = Object.entries(spec).every(([field, value]) => field in object.spec && changed.spec[field] === value)
    return {
      how,
      ok,
      saw: `${name}: ${Object.keys(spec).map((field) => `${field} ${object.spec[field]} -> ${changed.spec[field]}`)}`,
    }
  }
  const [setting = ''] = rest
  const [variable = '', value = ''] = setting.split('=')
  const env = changed.spec.template.spec.containers[0].env as { name: string; value?: string }[]
  const there = env.some((one) => one.name === variable && one.value === value)
  const { data } = find(objects, 'ConfigMap', 'aiserve-gpuproxy-config')
  loadConfig({ ...data, DB_HOST: 'db', JWT_SECRET: 'x'.repeat(32), [variable]: value }, () => '')
  return { how, ok: there, saw: `${setting}, which the gateway takes` }
}

function lookUp(args: string[], objects: readonly KubernetesObject[]) {
  const found: string[] = []
  const missing: string[] = []
  const note = (what: string, there: boolean) => (there ? found : missing).push(what)
  for (const [i, word] of args.entries()) {
    const [, slashKind, slashName] = /^(deployment)\/(.+)$/.exec(word) ?? []
    const kind = kinds[slashKind ?? word]
    const name = slashName ?? args[i + 1]
    if (kind && name && !name.startsWith('-')) {
      note(
        `${kind}/${name}`,
        objects.some((one) => one.kind === kind && one.metadata.name === name),
      )
    } else if (kind) {
      note(
        kind,
        objects.some((one) => one.kind === kind),
      )
    }
    if (word === '-l') {
      const [label = '', value] = name!.split('=')
      note(`pods with ${name}`, find(objects, 'Deployment').spec.template.metadata.labels[label] === value)
    }
    if (word === '-n') note(`namespace ${name}`, find(objects, 'Deployment').metadata.namespace === name)
    if (word === '-f') note(`${objects.length} objects in ${name}`, objects.length > 0)
  }
  return { found, missing }
}

async function run(args: string[]): Promise<{ code: number; output: string }> {
  const program = await findKubectl()
  await using folder = await mkdtempDisposable(join(tmpdir(), 'guide-'))
  const file = join(folder.path, 'config')
  const cluster = { clusters: [{ name: 'none', cluster: { server: nowhere } }] }
  await writeFile(
    file,
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      ...cluster,
      contexts: [{ name: 'none', context: { cluster: 'none' } }],
      'current-context': 'none',
    }),
  )
  const options = {
    env: { ...process.env, KUBECONFIG: file },
    timeout: 30_000,
    cwd: join(import.meta.dirname, '../..'),
  }
  return await new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      resolve({ code: error ? 1 : 0, output: error ? `${stdout}${stderr}` : stdout })
    })
  })
}

const firstLine = (text: string) =>
  text
    .trim()
    .split('\n')
    .find((line) => !line.startsWith('E')) ?? text.slice(0, 80)
