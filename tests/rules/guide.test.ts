/** The guide is gone through whole, and its commands are what docs/guide.md and `npm run guide` say they are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { checkKubectl } from '../../bench/guide/cluster.ts'
import { guideCommands, guideLines } from '../../bench/guide/lines.ts'
import { type KubernetesObject, render } from '../support/manifests.ts'

const docs = join(import.meta.dirname, '../../docs')
const original = readFileSync(join(docs, 'guide-original.md'), 'utf8')
const answered = readFileSync(join(docs, 'guide.md'), 'utf8')
const verdict = /^\*\*(True|Measured|Corrected|Not shown)\*\*/

describe('docs/guide.md', () => {
  const lines = guideLines(answered)
  const begin = lines.findIndex(({ text }) => text.startsWith('> '))
  const body = lines.slice(begin)

  test('has every line of the guide, in its order, and no other', () => {
    const quoted = body
      .filter(({ kind, text }) => kind !== 'text' || text.startsWith('> '))
      .map(({ kind, text }) => (kind === 'text' ? text.slice(2) : text))
    expect(quoted).toEqual(guideLines(original).map(({ text }) => text))
    expect(quoted.length).toBeGreaterThan(250)
  })

  test('says of each what became of it', () => {
    const wrong = body.filter(({ kind, text }, i) => {
      const isQuote = kind.startsWith('code') || text.startsWith('> ')
      const next = body[i + 1]
      const nextIsQuote = next && (next.kind.startsWith('code') || next.text.startsWith('> '))
      // After the last line of each quotation.
      return isQuote && !nextIsQuote && !(next && verdict.test(next.text))
    })
    expect(wrong.map(({ text }) => text)).toEqual([])
  })

  test('names files, tests and commands that there are', () => {
    const files = [...answered.matchAll(/`(?:npx vitest run )?((?:tests|src|adapters|manifests)\/[\w./-]+)`/g)].map(
      ([, path]) => path!,
    )
    expect(files.length).toBeGreaterThan(10)
    for (const path of files) expect(() => readFileSync(join(docs, '..', path)), path).not.toThrow(/ENOENT/)
  })
})

describe('the kubectl lines of the guide', () => {
  const commands = guideCommands(original).filter(({ command }) => command.startsWith('kubectl'))
  let objects: KubernetesObject[]
  beforeAll(async () => {
    objects = await render('.')
  }, 120_000)

  test('are all there', () => expect(commands.length).toBe(original.match(/^kubectl /gm)?.length))

  test.each(commands.map(({ command }) => [command]))('%s', async (command) => {
    expect(await checkKubectl(command, objects)).toMatchObject({ ok: true })
  })

  test.each([
    ['kubectl get hpa aiserve-gpuproxi-hpa -n default', 'a name that is not there'],
    ['kubectl get pods -n default -l app=aiserve', 'a label that no pod has'],
    ['kubectl get pods --wacth', 'an option that kubectl has not'],
    ["kubectl create secret generic jwt-secret --from-literal=secert='x'", 'a key that nothing reads'],
    [`kubectl patch hpa aiserve-gpuproxy-hpa -p '{"spec":{"maxReplica":100}}'`, 'a field that the object has not'],
  ])('%s is found out: %s', async (command) => {
    expect(await checkKubectl(command, objects).catch(() => ({ ok: false }))).toMatchObject({ ok: false })
  })

  test('a variable that the gateway would not start with is found out', async () => {
    const command = 'kubectl set env deployment/aiserve-gpuproxy DB_READ_ONLY=yes -n default'
    await expect(checkKubectl(command, objects)).rejects.toThrow('DB_READ_ONLY=yes is not allowed')
  })
})
