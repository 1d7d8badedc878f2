/**
 * Finds the programs that benchmarks and rule tests borrow from the distribution. One on PATH wins; else its package is
 * fetched and unpacked below `.cache`, which needs neither root nor an installation.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export type ToolName = 'promtool' | 'prometheus' | 'hey' | 'nginx' | 'wrk' | 'redis-server' | 'chromium-headless-shell'

export interface Tool {
  path: string
  /** To be merged into the environment of the tool's process. */
  env: Record<string, string>
}

/** The Debian and Ubuntu package that holds each tool, where in it, and which other it cannot do without. */
const packages: Record<ToolName, { name: string; file: string; also?: string }> = {
  promtool: { name: 'prometheus', file: 'usr/bin/promtool' },
  prometheus: { name: 'prometheus', file: 'usr/bin/prometheus' },
  hey: { name: 'hey', file: 'usr/bin/hey' },
  nginx: { name: 'nginx', file: 'usr/sbin/nginx' },
  wrk: { name: 'wrk', file: 'usr/bin/wrk' },
  // The package of the server itself holds only a link to this program, which goes by the name it is called by.
  'redis-server': { name: 'redis-tools', file: 'usr/bin/redis-check-rdb' },
  'chromium-headless-shell': {
    name: 'chromium-headless-shell',
    file: 'usr/lib/chromium/chromium-headless-shell',
    // Tables of characters, without which it does not start.
    also: 'chromium-common',
  },
}

const cache = fileURLToPath(new URL('../../.cache', import.meta.url))
const lists = join(cache, 'apt/lists')
const listsMaxAgeMs = 24 * 3_600_000
const commandTimeoutMs = 300_000
const maxLibraryRounds = 8
const exec = promisify(execFile)
const found = new Map<ToolName, Promise<Tool>>()

export function findTool(name: ToolName): Promise<Tool> {
  let tool = found.get(name)
  if (!tool) {
    tool = find(name)
    // A failure is not remembered: the next caller may have the network that this one lacked.
    tool.catch(() => found.delete(name))
    found.set(name, tool)
  }
  return tool
}

async function find(name: ToolName): Promise<Tool> {
  const installed = await onPath(name)
  if (installed) return { path: installed, env: {} }
  const folder = join(cache, 'tools', name)
  const unpacked = await readUnpacked(name, folder)
  if (unpacked) return unpacked
  try {
    return await withLock(join(cache, 'apt.lock'), async () => {
      const byAnother = await readUnpacked(name, folder)
      if (byAnother) return byAnother
      await unpack(name, folder)
      const tool = await readUnpacked(name, folder)
      if (!tool) throw new Error(`its package holds no ${packages[name].file}`)
      return tool
    })
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.trim().split('\n').at(-1) ?? '') : String(cause)
    const advice = `install it with "apt-get install ${packages[name].name}" or put it on PATH`
    throw new Error(`${name} is not on this machine and could not be fetched (${why}): ${advice}`, { cause })
  }
}

async function onPath(name: string): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  for (const folder of folders) if (folder && (await isExecutable(join(folder, name)))) return join(folder, name)
  return undefined
}

async function readUnpacked(name: ToolName, folder: string): Promise<Tool | undefined> {
  const path = join(folder, packages[name].file)
  if (!(await isExecutable(path))) return undefined
  const libraries = await libraryFolders(folder)
  return { path, env: libraries.length > 0 ? { LD_LIBRARY_PATH: libraries.join(':') } : {} }
}

async function unpack(name: ToolName, folder: string): Promise<void> {
  const { name: packageName, file, also } = packages[name]
  const draft = `${folder}.new-${process.pid}`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true })
  try {
    await fetchPackages(also === undefined ? [packageName] : [packageName, also], draft)
    for (let round = 0; round < maxLibraryRounds; round++) {
      const missing = await missingLibraries(join(draft, file), await libraryFolders(draft))
      if (missing.length === 0) break
      const wanted = await packagesOf(missing, packageName, draft)
      if (wanted.length === 0) throw new Error(`no package found for ${missing.join(', ')}`)
      await fetchPackages(wanted, draft)
    }
    await rm(folder, { recursive: true, force: true })
    await rename(draft, folder)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** Package lists and archives of our own: the machine's may be empty, stale, or not ours to write. */
function aptOptions(): string[] {
  const options = { 'Dir::State::lists': lists, 'Dir::Cache': join(cache, 'apt'), 'APT::Sandbox::User': 'root' }
  return Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`])
}

async function fetchPackages(names: readonly string[], folder: string): Promise<void> {
  await updateLists()
  const debs = join(folder, 'debs')
  await mkdir(debs, { recursive: true })
  await run('apt-get', [...aptOptions(), 'download', ...names], debs)
  for (const deb of await readdir(debs)) await run('dpkg', ['-x', join(debs, deb), folder])
  await rm(debs, { recursive: true })
}

async function updateLists(): Promise<void> {
  const stamp = join(cache, 'apt/updated')
  const age =
    Date.now() -
    (await stat(stamp).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    ))
  if (age < listsMaxAgeMs) return
  await mkdir(join(lists, 'partial'), { recursive: true })
  await mkdir(join(cache, 'apt/archives/partial'), { recursive: true })
  // A third party's broken source must not hide the distribution's: what counts is whether the package can be had.
  const failure = await run('apt-get', [...aptOptions(), 'update']).then(
    () => undefined,
    (error: unknown) => error,
  )
  const indexes = (await readdir(lists)).filter((entry) => entry.includes('_Packages'))
  if (indexes.length === 0) throw failure ?? new Error('apt-get update brought no package list')
  await writeFile(stamp, '')
}

/** What the dynamic linker does not find, as in `libluajit-5.1.so.2`. A static program misses nothing. */
async function missingLibraries(path: string, folders: readonly string[]): Promise<string[]> {
  const env = { ...process.env, LC_ALL: 'C', LD_LIBRARY_PATH: folders.join(':') }
  const { stdout } = await exec('ldd', [path], { env, timeout: commandTimeoutMs }).catch(() => ({ stdout: '' }))
  return [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? '')
}

/** Those of the package's dependencies that are called after the missing libraries; else all that are not installed. */
async function packagesOf(libraries: readonly string[], packageName: string, draft: string): Promise<string[]> {
  const flags = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`)
  const { stdout } = await run('apt-cache', [...aptOptions(), 'depends', '--recurse', ...flags, packageName], draft)
  const dependencies = stdout.split('\n').filter((line) => /^lib[a-z0-9.+-]+$/.test(line))
  const named = dependencies.filter((name) => libraries.some((library) => plain(name) === plain(library)))
  if (named.length > 0) return named
  const status = await readFile('/var/lib/dpkg/status', 'utf8').catch(() => '')
  return dependencies.filter(
    (name) => !status.includes(`\nPackage: ${name}\n`) && !status.startsWith(`Package: ${name}\n`),
  )
}

/** `libluajit-5.1.so.2` and `libluajit-5.1-2` are the same; the suffixes of ABI transitions do not count. */
const plain = (name: string) => name.replace('.so', '').replace(/t64$/, '').replaceAll(/[-.]/g, '').toLowerCase()

async function libraryFolders(root: string): Promise<string[]> {
  const folders = new Set<string>()
  for (const base of ['usr/lib', 'lib']) {
    const entries = await readdir(join(root, base), { recursive: true, withFileTypes: true }).catch(() => [])
    for (const entry of entries) if (/^lib.+\.so(\.|$)/.test(entry.name)) folders.add(entry.parentPath)
  }
  return [...folders]
}

function run(command: string, args: readonly string[], cwd = cache): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }
  return exec(command, args, { cwd, env, timeout: commandTimeoutMs, maxBuffer: 64 * 1024 * 1024 })
}

const isExecutable = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

const lockPollMs = 200
const lockWaitMs = 600_000
/** Between making the folder and naming its owner. */
const ownerGraceMs = 5_000

/** A folder is made by one process only; the others wait until it is gone, or its owner is. */
async function withLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(folder), { recursive: true })
  const deadline = Date.now() + lockWaitMs
  while (
    !(await mkdir(folder).then(
      () => true,
      () => false,
    ))
  ) {
    if (Date.now() > deadline) throw new Error(`another process holds ${folder} for too long`)
    await breakStaleLock(folder)
    await sleep(lockPollMs)
  }
  try {
    await writeFile(join(folder, 'pid'), String(process.pid))
    return await work()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function breakStaleLock(folder: string): Promise<void> {
  const owner = await readFile(join(folder, 'pid'), 'utf8').catch(() => '')
  const age =
    Date.now() -
    (await stat(folder).then(
      ({ mtimeMs }) => mtimeMs,
      () => Date.now(),
    ))
  if (owner === '' ? age < ownerGraceMs : isAlive(Number(owner))) return
  // Renamed first: of two that wait, one breaks the lock.
  const broken = `${folder}.broken-${process.pid}`
  const moved = await rename(folder, broken).then(
    () => true,
    () => false,
  )
  if (moved) await rm(broken, { recursive: true, force: true })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
