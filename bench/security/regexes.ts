/** Threat 12: every regular expression of the product, on 50 KB of what it is slowest on. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bar } from '../bars.ts'

const root = join(import.meta.dirname, '../..')
const length = 50_000
const limitMs = 20
/** The machine has other work: one that is fast once is fast. */
const tries = 3
/** After what stands in front of a pattern, and not of a division. */
const literal =
  /(?<=[=(,:!&|?;{}[\]>]\s*|return\s+|^\s*)\/(?![/*])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+)\/([dgimsuvy]*)/gm

interface Found {
  file: string
  pattern: RegExp
}

/** Of what runs in the product: tests and the machines of the sandbox are not asked by strangers. */
export function collectRegexes(): Found[] {
  const files = globSync('{src,adapters}/**/*.ts', { cwd: root }).filter(
    (file) => !/\.test\.ts$|adapters\/(?:sandbox|memory|embedded)\//.test(file),
  )
  return files.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(literal)].flatMap(([, source, flags]) => {
      try {
        return [{ file, pattern: new RegExp(source!, flags!.replace(/[gy]/g, '')) }]
      } catch {
        return [] // A comment or a path that only looks like one.
      }
    }),
  )
}

/** What makes backtracking long: many of a thing, and an end that does not fit. */
function* attacks({ source }: RegExp): Generator<string> {
  const own = [...new Set(source.replace(/\\[a-zA-Z]/g, ''))].filter((char) => /[^()[\]{}*+?^$|\\]/.test(char))
  const units = [
    'a',
    ' ',
    '0',
    'A',
    '.',
    'ab',
    'a.',
    'a ',
    '0.',
    '\t',
    ' ,',
    'é',
    '\n',
    ...own,
    ...own.map((c) => `a${c}`),
    ...own.map((c) => `${c} `),
  ]
  const starts = ['', ...own.map((char) => char.repeat(2)).slice(0, 10)]
  for (const unit of new Set(units)) {
    const many = unit.repeat(Math.ceil(length / unit.length))
    yield many
    yield `${many}!`
    yield `${many}\0`
    for (const start of starts) if (start !== '') yield `${start}${many}\x01`
  }
}

export async function measureRegexes(show: (line: string) => void): Promise<Bar[]> {
  const found = collectRegexes()
  show(`regular expressions: ${found.length}`)
  let worst = { ms: 0, what: '' }
  for (const { file, pattern } of found) {
    for (const text of attacks(pattern)) {
      const ms = Math.min(...quickest(pattern, text))
      if (ms > worst.ms) worst = { ms, what: `${file} ${pattern}` }
      if (ms >= limitMs) break
    }
  }
  return [
    { name: 'regular expressions found', want: '>= 100', got: String(found.length), met: found.length >= 100 },
    {
      name: `slowest on ${length / 1000} KB`,
      want: `< ${limitMs} ms`,
      got: `${worst.ms.toFixed(1)} ms (${worst.what})`,
      met: worst.ms < limitMs,
    },
  ]
}

/** Stops at the first that is fast enough. */
function* quickest(pattern: RegExp, text: string): Generator<number> {
  for (let i = 0; i < tries; i++) {
    const from = performance.now()
    pattern.test(text)
    const ms = performance.now() - from
    yield ms
    if (ms < limitMs / 4) return
  }
}
