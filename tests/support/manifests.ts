/** The manifests as kubectl renders them, and what the Kubernetes schema says of them. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { kubectl } from './kubectl.ts'

export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> }
  // biome-ignore lint/suspicious/noExplicitAny: each kind has a shape of its own, which the schema checks.
  [field: string]: any
}

const root = join(import.meta.dirname, '../..')
const cache = join(root, '.cache')
export const manifests = join(root, 'manifests')

export function parseObjects(yaml: string): KubernetesObject[] {
  return parseAllDocuments(yaml).map((document) => document.toJS() as KubernetesObject)
}

/** What `kubectl apply -k` would send. @param folder below `manifests` */
export const render = async (folder: string) => parseObjects(await kubectl('kustomize', join(manifests, folder)))

/** The base with one component. */
export async function renderComponent(name: string): Promise<KubernetesObject[]> {
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'kustomize-'))
  try {
    const kustomization = { resources: ['../../manifests/base'], components: [`../../manifests/components/${name}`] }
    await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization))
    return parseObjects(await kubectl('kustomize', folder))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export function find(objects: readonly KubernetesObject[], kind: string, name = 'aiserve-gpuproxy'): KubernetesObject {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name)
  if (found.length !== 1) throw new Error(`${found.length} objects are ${kind}/${name}`)
  return found[0]!
}

/** The module of kubernetes-models, or of one of its sisters for custom resources, that has the kind. */
function moduleOf({ apiVersion, kind }: KubernetesObject): string {
  const [group = ''] = apiVersion.split('/')
  if (group === 'keda.sh') return `@kubernetes-models/keda/${apiVersion}/${kind}`
  if (group === 'monitoring.coreos.com') return `@kubernetes-models/prometheus-operator/${apiVersion}/${kind}`
  return `kubernetes-models/${apiVersion}/${kind}`
}

/** Values of the wrong type or form, and missing fields. */
export async function schemaErrors(object: KubernetesObject): Promise<string[]> {
  const { [object.kind]: Model } = await import(moduleOf(object))
  try {
    new Model(object).validate()
    return []
  } catch (error) {
    return [`${object.kind}/${object.metadata.name}: ${(error as Error).message}`]
  }
}

/**
 * Fields that the schema does not know. The validators let them pass, as an API server does without strict validation;
 * the compiler refuses them in a literal. Answers one list for each object.
 */
export async function unknownFields(objects: readonly KubernetesObject[]): Promise<string[][]> {
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'strict-'))
  try {
    const modules = [...new Set(objects.map(moduleOf))]
    const lines = modules.map((module, i) => `import { ${module.split('/').at(-1)} as Kind${i} } from '${module}'`)
    for (const object of objects) {
      // The class itself says these two.
      const { apiVersion: _, kind: __, ...rest } = object
      lines.push(`new Kind${modules.indexOf(moduleOf(object))}(${JSON.stringify(rest)})`)
    }
    await writeFile(join(folder, 'objects.ts'), `${lines.join('\n')}\n`)
    const compilerOptions = { module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true, types: [] }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['objects.ts'] }))
    const output = await compile(folder)
    const errors: string[][] = objects.map(() => [])
    for (const [, line, message] of output.matchAll(/objects\.ts\((\d+),\d+\): (.*)/g)) {
      const of = errors[Number(line) - modules.length - 1]
      if (!of) throw new Error(output)
      of.push(message!)
    }
    return errors
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function compile(folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, stdout: string, stderr: string) => {
      // With 2 it has found something.
      if (error && !stdout.includes('objects.ts(')) reject(new Error(stdout || stderr || error.message))
      else resolve(stdout)
    }
    const tsc = join(root, 'node_modules/.bin/tsc')
    execFile(tsc, ['-p', folder, '--pretty', 'false'], { timeout: 120_000, maxBuffer: 64 * 1024 * 1024 }, done)
  })
}
