/** The data folder: made whole or not at all, and never deleted. */
import { chown, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Identity } from './identity.ts'
import { giveTo } from './identity.ts'
import { run } from './run.ts'

export const user = 'gpuproxy'
export const database = 'gpuproxy'

/** The major version that wrote the data; undefined when there is none yet. */
async function dataVersion(folder: string): Promise<string | undefined> {
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch(missing)
  return version?.trim()
}

/** Takes over the data in `folder`, or makes it when there is none. */
export async function prepareCluster(options: {
  folder: string
  initdb: string
  postgres: string
  /** The major version of `postgres`. */
  major: string
  identity: Identity
  durable: boolean
  signal?: AbortSignal
}): Promise<void> {
  const { folder, identity, major } = options
  const found = await dataVersion(folder)
  if (found === undefined) return createCluster(options)
  if (found === major) return giveTo(identity, folder)
  throw new Error(
    `${folder} was written by PostgreSQL ${found}, and this gateway brings PostgreSQL ${major}: dump it with ` +
      `PostgreSQL ${found} and load the dump into a new DATA_DIR, move the folder away to begin empty, or set ` +
      `DATABASE_URL to a PostgreSQL ${found} that serves it`,
  )
}

async function createCluster(options: Parameters<typeof prepareCluster>[0]): Promise<void> {
  const { folder, identity, durable, signal } = options
  if (((await readdir(folder).catch(missing)) ?? []).length > 0) {
    throw new Error(`${folder} is not empty and holds no PostgreSQL data: move it away or set another DATA_DIR`)
  }
  await removeLeftovers(folder)
  // Built aside and renamed: a first start that is cut short, or two at once, never leave half a cluster behind.
  const draft = `${folder}.new-${process.pid}`
  await mkdir(draft, { mode: 0o700 })
  try {
    if (identity.owner !== undefined) await chown(draft, identity.owner, identity.owner)
    // The locale is PostgreSQL's own: the machine's libc may know none but C.
    const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    const args = ['-D', draft, '-U', user, '-A', 'trust', '-E', 'UTF8', ...locale, ...(durable ? [] : ['--no-sync'])]
    await must(run(identity, options.initdb, args, pick(signal)), 'initdb')
    const single = ['--single', '-D', draft, '-c', `fsync=${durable ? 'on' : 'off'}`, 'postgres']
    const input = `create database ${database}\n`
    await must(run(identity, options.postgres, single, { input, ...pick(signal) }), 'create database')
    await rename(draft, folder).catch(async (error: unknown) => {
      // Another gateway was first: its cluster is as good.
      if ((await dataVersion(folder)) === undefined) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** Drafts of gateways that were killed while they made one. */
async function removeLeftovers(folder: string): Promise<void> {
  const parent = dirname(folder)
  const prefix = `${basename(folder)}.new-`
  for (const name of await readdir(parent)) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : 0
    if (pid > 0 && (pid === process.pid || !isAlive(pid)))
      await rm(join(parent, name), { recursive: true, force: true })
  }
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function must(running: ReturnType<typeof run>, what: string): Promise<void> {
  const { code, stderr } = await running
  if (code !== 0) throw new Error(`The embedded PostgreSQL could not be set up: ${what} failed: ${stderr.trim()}`)
}

const pick = (signal?: AbortSignal) => (signal ? { signal } : {})

export function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
