/** One run of the test files that the threats name, and what became of each test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'

export interface RanTest {
  title: string
  passed: boolean
}

const root = join(import.meta.dirname, '../..')
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
/** As vitest.config.ts says. */
const report = join(root, '.cache/vitest.json')

/** By file, as the files were given. A file that is not there has none. */
export async function runTests(
  files: readonly string[],
  show: (line: string) => void,
): Promise<Map<string, RanTest[]>> {
  if (!files.some((file) => existsSync(join(root, file)))) return new Map()
  // One of an earlier run would tell of that.
  await rm(report, { force: true })
  const child = spawn(process.execPath, [vitest, 'run', ...files], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close')
  let tail: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      tail = [...tail.slice(-40), line]
      if (line.trim() !== '') show(line.trim())
    })
  }
  await ended
  return byFile(await readFile(report, 'utf8').catch(() => noReport(tail)))
}

function noReport(tail: readonly string[]): never {
  throw new Error(`the tests ended without a report:\n${tail.join('\n')}`)
}

interface Report {
  testResults: { name: string; assertionResults: { fullName: string; status: string }[] }[]
}

function byFile(text: string): Map<string, RanTest[]> {
  const { testResults } = JSON.parse(text) as Report
  return new Map(
    testResults.map(({ name, assertionResults }) => [
      relative(root, name),
      assertionResults.map(({ fullName, status }) => ({ title: fullName, passed: status === 'passed' })),
    ]),
  )
}
