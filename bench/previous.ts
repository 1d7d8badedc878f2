/**
 * `npm run previous [-- REF]`: the version before, on the newest schema, as after `kubectl rollout undo`. That version comes
 * from git; every database its tests make is a copy of one that this version has migrated.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { runAdmin } from '../tests/support/admin-tool.ts'
import { databaseEnv, startTestPostgres } from '../tests/support/postgres.ts'

const root = join(import.meta.dirname, '..')
const folder = join(root, '.cache/previous')
const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim()
/** They want an empty database, or list the tables that their own version knows. */
const ofTheirOwnSchema = /migrations|sharding|operator-tool|market-tables/

const [given] = process.argv.slice(2)
const ref = given ?? beforeTheNewestMigration()
const commit = find(ref)
console.log(`${commit.slice(0, 10)} ${git('log', '-1', '--format=%s', commit)}`)
const before = git('ls-tree', '--name-only', commit, 'adapters/node/postgres/migrations/').split('\n').length
const now = git('ls-files', 'adapters/node/postgres/migrations/').split('\n').length
console.log(`schema ${before} there, ${now} here`)

remove()
git('worktree', 'add', '--detach', folder, commit)
const server = await startTestPostgres()
try {
  install()
  const env = databaseEnv(server)
  const template = { ...env, DB_NAME: 'template1' }
  const { code, error } = await runAdmin(template, 'migrate')
  if (code !== 0) throw new Error(`the schema could not be made: ${error}`)
  const files = globSync('{adapters/node,tests/flows}/**/*.test.ts', { cwd: folder })
    .filter(
      (file) => /startTestPostgres/.test(readFileSync(join(folder, file), 'utf8')) && !ofTheirOwnSchema.test(file),
    )
    .sort()
  console.log(`${files.length} files of tests on a database`)
  const url = `postgres://${env.DB_USER}@localhost/${env.DB_NAME}?host=${encodeURIComponent(env.DB_HOST!)}`
  const run = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...files], {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, TEST_DATABASE_URL: env.DATABASE_URL ?? url },
  })
  process.exitCode = run.status ?? 1
} finally {
  await server.close()
  remove()
}

function beforeTheNewestMigration(): string {
  const added = git('log', '-1', '--format=%H', '--diff-filter=A', '--', 'adapters/node/postgres/migrations/')
  if (!added) return stop('no migration is in the history that is here')
  return `${added}^`
}

function find(name: string): string {
  try {
    return git('rev-parse', '--verify', `${name}^{commit}`)
  } catch {
    return stop(`${name} is not in this clone: "git fetch --unshallow" brings the history`)
  }
}

/** With the lock of this version's, its packages; else its own. */
function install() {
  const lock = 'package-lock.json'
  if (readFileSync(join(root, lock), 'utf8') === readFileSync(join(folder, lock), 'utf8')) {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  } else {
    execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'inherit' })
  }
  mkdirSync(join(folder, '.cache'), { recursive: true })
  const tools = join(root, '.cache/tools')
  if (existsSync(tools)) symlinkSync(tools, join(folder, '.cache/tools'))
}

function remove() {
  if (existsSync(folder)) rmSync(folder, { recursive: true, force: true })
  git('worktree', 'prune')
}

function stop(why: string): never {
  console.error(why)
  process.exit(1)
}
