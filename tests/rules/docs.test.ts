import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { pages, readPage } from '../../docs/tables.ts'

const root = join(import.meta.dirname, '../..')

describe('the reference tables say what the code says (npm run docs writes them)', () => {
  test.each(Object.keys(pages))('docs/%s', (page) => expect(readPage(page)).toBe(pages[page]))
})

const markdown = globSync(['*.md', 'docs/**/*.md', 'bench/*.md'], { cwd: root })

test('every link between documents leads somewhere', () => {
  expect(markdown).toContain('README.md')
  const broken = markdown.flatMap((file) => {
    const links = readFileSync(join(root, file), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)
    return [...links].flatMap(([, to]) => {
      const target = join(root, dirname(file), to!)
      return globSync(target).length > 0 ? [] : [`${file} -> ${to}`]
    })
  })
  expect(broken).toEqual([])
})

test('every file of the code that documents and manifests name exists', () => {
  const naming = [...markdown, ...globSync('manifests/**/*.yaml', { cwd: root })]
  const missing = naming
    .filter((file) => file !== 'CHANGELOG.md')
    .flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/\b(?:adapters|bench|src|tests)\/[\w./-]+\.(?:ts|yaml)\b/g)]
        .filter(([path]) => globSync(join(root, path)).length === 0)
        .map(([path]) => `${file}: ${path}`),
    )
  expect(missing).toEqual([])
})

test('every npm script that the documents name exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const missing = markdown
    .filter((file) => file !== 'CHANGELOG.md')
    .flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/npm run ([a-z:]+)/g)].flatMap(([, name]) =>
        scripts[name!] ? [] : [`${file}: npm run ${name}`],
      ),
    )
  expect(missing).toEqual([])
})

test('every dependency has its reason in docs/dependencies.md, and no other', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const wanted = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
  const listed = [...readFileSync(join(root, 'docs/dependencies.md'), 'utf8').matchAll(/^\| `([^`]+)`/gm)].map(
    ([, name]) => name,
  )
  expect(listed.sort()).toEqual(wanted.sort())
})
