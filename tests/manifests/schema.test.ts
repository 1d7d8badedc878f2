/** What is rendered is what the API server's own schema takes, with strict field validation. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type KubernetesObject,
  manifests,
  parseObjects,
  render,
  renderComponent,
  schemaErrors,
  unknownFields,
} from '../support/manifests.ts'
import { components, overlays } from './folders.ts'

const rendered = new Map<string, KubernetesObject[]>()

beforeAll(async () => {
  for (const folder of ['.', ...overlays]) rendered.set(folder, await render(folder))
  for (const name of components) rendered.set(`components/${name}`, await renderComponent(name))
}, 120_000)

const distinct = () => {
  const all = [...rendered.values()].flat().map((object) => JSON.stringify(object))
  return [...new Set(all)].map((text) => JSON.parse(text) as KubernetesObject)
}

test('manifests/hpa.yaml is the base, rendered (npm run manifests -- --write)', () => {
  expect(parseObjects(readFileSync(join(manifests, 'hpa.yaml'), 'utf8'))).toEqual(rendered.get('.'))
})

test('every value has the type and form that its schema wants', async () => {
  const objects = distinct()
  expect(objects.length).toBeGreaterThan(30)
  expect((await Promise.all(objects.map(schemaErrors))).flat()).toEqual([])
})

test('no object has a field that its schema does not know', { timeout: 120_000 }, async () => {
  const objects = distinct()
  const errors = await unknownFields(objects)
  expect(
    errors.flatMap((of, i) => of.map((error) => `${objects[i]!.kind}/${objects[i]!.metadata.name}: ${error}`)),
  ).toEqual([])
})

describe('these two checks can fail', () => {
  /** Free maps: labels, data and what an operator's own schema leaves open. */
  const freeMaps = /\/(labels|annotations|matchLabels|selector|data|requests|limits|triggers\/0\/metadata)$/

  test('a field too many is refused wherever an object has fields of its own', { timeout: 120_000 }, async () => {
    const cases = new Map<string, KubernetesObject>()
    for (const object of distinct()) {
      for (const path of pathsOf(object)) cases.set(object.kind + path.replace(/\/\d+/g, '/0'), withField(object, path))
    }
    expect(cases.size).toBeGreaterThan(150)
    const errors = await unknownFields([...cases.values()])
    const passed = [...cases.keys()].filter((_, i) => errors[i]!.length === 0)
    expect(passed.filter((path) => !freeMaps.test(path))).toEqual([])
  })

  test('a word where a number belongs, and an object without what it must have', async () => {
    const hpa = rendered.get('.')!.find(({ kind }) => kind === 'HorizontalPodAutoscaler')!
    expect(await schemaErrors({ ...hpa, spec: { ...hpa.spec, minReplicas: 'three' } })).toHaveLength(1)
    expect(await schemaErrors({ ...hpa, spec: { ...hpa.spec, maxReplicas: undefined } })).toHaveLength(1)
  })
})

/** Of every map within, itself included. */
function pathsOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((one, i) => pathsOf(one, `${path}/${i}`))
  if (typeof value !== 'object' || value === null) return []
  return [path, ...Object.entries(value).flatMap(([key, one]) => pathsOf(one, `${path}/${key.replaceAll('/', '~')}`))]
}

function withField(object: KubernetesObject, path: string): KubernetesObject {
  const copy = structuredClone(object)
  // biome-ignore lint/suspicious/noExplicitAny: any map within.
  let at: any = copy
  for (const step of path.split('/').slice(1)) at = at[step.replaceAll('~', '/')]
  at.notAField = 'x'
  return copy
}
