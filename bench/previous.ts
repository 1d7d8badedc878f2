/**
 * `npm run previous [-- REF]`: the version before, on the newest schema, as after `kubectl rollout undo`. That version comes
 * from git; every database its tests make is a copy of one that this version has migrated.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { all } from '../adapters/node/postgres/migrations.ts'
import { runAdmin } from '../tests/support/admin-tool.ts'
import { startReplicatedPostgres } from '../tests/support/replicated-postgres.ts'

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
const now = Math.max(...all.map(({ version }) => version))
console.log(`${before} migrations there, ${all.length} here`)

remove()
git('worktree', 'add', '--detach', folder, commit)
// Over TCP: a URL cannot name a socket's folder.
const server = await startReplicatedPostgres({ standbys: 0 })
try {
  install()
  const { host, port, user, database } = server.primary.connection
  const template = { DB_HOST: host, DB_PORT: String(port), DB_USER: user, DB_NAME: 'template1', DB_SSLMODE: 'disable' }
  const { code, error } = await runAdmin(template, 'migrate')
  if (code !== 0) throw new Error(`the schema could not be made: ${error}`)
  await server.primary.sql`create database probe`
  const probe = postgres({ ...server.primary.connection, database: 'probe', max: 1 })
  const [{ version }] = await probe<[{ version: number }]>`select max(version) as version from schema_migrations`
  await probe.end()
  if (version !== now) throw new Error(`a new database has schema ${version}, not ${now}`)
  const files = globSync('{adapters/node,tests/flows}/**/*.test.ts', { cwd: folder })
    .filter(
      (file) => /startTestPostgres/.test(readFileSync(join(folder, file), 'utf8')) && !ofTheirOwnSchema.test(file),
    )
    .sort()
  console.log(`${files.length} files of tests on a database`)
  // That version cannot be changed any more: a test of it that a busy machine fails gets another try, the schema fails both.
  const run = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--retry=1', ...files], {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, TEST_DATABASE_URL: `postgres://${user}@${host}:${port}/${database}` },
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
