/** The house rules of ARCHITECTURE.md as checks: who may import whom, which package lives where, and no runtime in `src/`. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const files = globSync(['src/**/*.ts', 'adapters/**/*.ts'], { cwd: root }).filter((file) => !file.endsWith('.test.ts'))
const read = (file: string) => readFileSync(join(root, file), 'utf8')

interface Import {
  file: string
  /** A path from the root, or a package's name. */
  to: string
  typeOnly: boolean
}

export function importsOf(file: string, text: string): Import[] {
  const names = String.raw`[\w$*\s{},]+?`
  const statement = new RegExp(
    String.raw`(?:^|\n)(?:import|export)\s+(type\s+)?${names}\s+from\s+['"]([^'"]+)['"]`,
    'g',
  )
  const bare = /(?:^|\n)import\s+['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g
  const found = [
    ...[...text.matchAll(statement)].map(([, type, from]) => ({ from: from!, typeOnly: type !== undefined })),
    ...[...text.matchAll(bare)].map(([, eager, lazy]) => ({ from: (eager ?? lazy)!, typeOnly: false })),
  ]
  return found.map(({ from, typeOnly }) => {
    const to = from.startsWith('.')
      ? normalize(join(dirname(file), from))
          .split(sep)
          .join('/')
      : from
    return { file, to, typeOnly }
  })
}

const room = (path: string): string => {
  const [top, second, third] = path.split('/')
  if (top === 'adapters') return `adapters/${second}`
  return third === undefined ? `src/${second}` : `src/${second}/`
}

const kit = ['src/resilience/', 'src/ports.ts', 'src/errors.ts']
const portable = ['src/telemetry/', 'src/domain/', ...kit]
/** What each room of ours may import, besides itself. `types`: also, where only a type is taken. */
const may: Record<string, { import: string[]; types?: string[] }> = {
  'src/resilience/': { import: [] },
  'src/domain/': { import: [] },
  'src/telemetry/': { import: [] },
  'src/cache/': { import: ['src/resilience/'], types: ['src/ports.ts'] },
  'src/errors.ts': { import: [] },
  'src/config.ts': { import: ['src/domain/', 'src/variables.ts'] },
  'src/variables.ts': { import: [] },
  'src/router.ts': { import: [] },
  'src/edge/': { import: ['src/services/', 'src/upstream/', 'src/cache/', 'src/variables.ts', ...portable] },
  'src/edge.ts': { import: ['src/'] },
  'src/ports.ts': { import: [], types: ['src/resilience/', 'src/telemetry/', 'src/domain/'] },
  'src/upstream/': { import: ['src/telemetry/', ...kit] },
  'src/providers/': { import: ['src/upstream/', ...portable] },
  'src/routing/': { import: ['src/upstream/', ...portable] },
  'src/services/': { import: ['src/providers/', 'src/routing/', 'src/upstream/', 'src/cache/', ...portable] },
  'src/middleware/': { import: ['src/services/', 'src/upstream/', 'src/cache/', ...portable] },
  'src/routes/': { import: ['src/middleware/', 'src/services/', 'src/cache/', ...portable], types: ['src/providers/'] },
  'src/reference/': { import: ['src/routes/', ...portable] },
  'src/app.ts': { import: ['src/router.ts', 'src/routes/', 'src/middleware/', 'src/services/', ...portable] },
  'src/gateway.ts': { import: ['src/'] },
  'adapters/': {
    import: [
      'src/gateway.ts',
      'src/edge.ts',
      'src/edge/config.ts',
      'src/edge/regions.ts',
      'src/cache/http/http-cache.ts',
      'src/variables.ts',
      'src/config.ts',
      'src/ports.ts',
      'src/errors.ts',
      'src/routing/parse-table.ts',
      'src/routing/table.ts',
      'src/resilience/',
      'src/telemetry/',
      'src/domain/',
    ],
  },
}

/** The only rooms in which a package may be named. */
const homes: Record<string, string[]> = {
  hono: ['src/app.ts', 'src/router.ts', 'src/routes/', 'src/middleware/', 'src/console/'],
  zod: ['src/reference/', 'src/variables.ts', 'src/routes/', 'src/providers/', 'src/services/', 'src/routing/'],
  'quick-lru': ['src/cache/'],
  'eventsource-parser': ['src/upstream/'],
  '@hono/node-server': ['adapters/node'],
  undici: ['adapters/node'],
  postgres: ['adapters/node'],
  ioredis: ['adapters/node'],
  'prom-client': ['adapters/node'],
  '@opentelemetry/api': ['adapters/node'],
  '@opentelemetry/sdk-trace': ['adapters/node'],
  '@opentelemetry/resources': ['adapters/node'],
  '@opentelemetry/exporter-trace-otlp-http': ['adapters/node'],
  yaml: ['adapters/node'],
  ws: ['adapters/sandbox'],
}

/** Files that bring an adapter up for the process: they alone may know other adapters. */
const processRoots = ['adapters/node/main.ts', 'adapters/node/providers.ts', 'adapters/node/storage.ts']

const within = (path: string, allowed: readonly string[]) =>
  allowed.some((a) => path === a || (a.endsWith('/') && path.startsWith(a)))

export function violations(imports: Import[]): string[] {
  return imports.flatMap(({ file, to, typeOnly }) => {
    const from = room(file)
    const own = from.startsWith('adapters/') ? `${from}/` : from
    const rules = may[from.startsWith('adapters/') ? 'adapters/' : from]
    if (!rules) return [`${file}: no rule for ${from}`]
    if (to.startsWith('node:')) return from.startsWith('src') ? [`${file} imports ${to}`] : []
    if (!to.startsWith('src/') && !to.startsWith('adapters/')) {
      const name = to.startsWith('@') ? to.split('/').slice(0, 2).join('/') : to.split('/')[0]!
      const home = homes[name]
      if (!home) return [`${file} imports ${name}, which has no home`]
      return within(from.endsWith('/') ? from : file, home) || home.includes(from)
        ? []
        : [`${file} imports ${name}, whose home is ${home}`]
    }
    if (to.startsWith(own)) return []
    if (to.startsWith('adapters/')) return processRoots.includes(file) ? [] : [`${file} imports ${to}`]
    return within(to, rules.import) || (typeOnly && within(to, rules.types ?? [])) ? [] : [`${file} imports ${to}`]
  })
}

describe('the dependency rule', () => {
  test('every import of src/ and adapters/ points where it may', () => {
    expect(files.length).toBeGreaterThan(50)
    expect(violations(files.flatMap((file) => importsOf(file, read(file))))).toEqual([])
  })

  test.each([
    ['a service that imports a route', 'src/services/x.ts', `import { a } from '../routes/gpu.ts'`],
    ['an algorithm that imports a port', 'src/resilience/x.ts', `import type { Clock } from '../ports.ts'`],
    ['Node in the core', 'src/services/x.ts', `import { readFile } from 'node:fs/promises'`],
    ['an adapter in the core', 'src/services/x.ts', `import { reply } from '../../adapters/node/reply.ts'`],
    ['an adapter in another', 'adapters/memory/x.ts', `import { reply } from '../node/reply.ts'`],
    ['a lazy import of one', 'adapters/node/x.ts', `const a = await import('../sandbox/sandbox.ts')`],
    ['a package outside its home', 'src/services/x.ts', `import { Hono } from 'hono'`],
    ['a package without a home', 'src/services/x.ts', `import _ from 'lodash'`],
    ['a provider re-exported by a route', 'src/routes/x.ts', `export { createVastMarket } from '../providers/vast.ts'`],
    ['an import over several lines', 'src/domain/x.ts', `import {\n  a,\n  b,\n} from '../services/offers.ts'`],
  ])('catches %s', (_what, file, text) => {
    expect(violations(importsOf(file, text))).toHaveLength(1)
  })
})

/** Words that only one runtime knows, and the ways to time, chance and network that must be handed in. */
const forbidden = [
  /\bprocess\./,
  /\bBuffer\b/,
  /\bgetRuntimeKey\b/,
  /\bcaches\b/,
  /\bnavigator\b/,
  /\bsetImmediate\b/,
  /\bMath\.random\b/,
  /\bcrypto\.(?:randomUUID|getRandomValues)\b/,
  /\bfetch\(/,
  /\bDate\.now\b/,
  /\bnew Date\(\)/,
  /\bperformance\.now\b/,
  /\bset(?:Timeout|Interval)\(/,
  /\bAbortSignal\.timeout\b/,
  /\bconsole\./,
]
const stripComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')

describe('the core knows no runtime, no clock and no die', () => {
  const clock = 'src/resilience/clock.ts'
  // Texts of programs, for readers of the reference to run elsewhere.
  const programs = ['src/reference/programs.ts', 'src/reference/samples.ts']
  const core = files.filter((file) => file.startsWith('src/') && file !== clock && !programs.includes(file))
  test.each(forbidden.map((word) => [word.source, word] as const))('no %s in src/', (_source, word) => {
    expect(
      core.filter((file) =>
        word.test(stripComments(read(file)).replace(/\bapp\.fetch\(|\bfetch\(request: Request/g, '')),
      ),
    ).toEqual([])
  })
})
