/** A folder belongs to one process at a time. A lock of a process that is gone is taken over. */
import { randomUUID } from 'node:crypto'
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Answers the release. @throws Error that names the process that has it. */
export async function takeFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'lock')
  const mine = `${process.pid} ${(await startOf(process.pid)) ?? ''}`
  await take(folder, path, mine)
  return async () => {
    if ((await read(path)) === mine) await unlink(path)
  }
}

/**
 * Whoever has `….next` is the only one who may put it in the place of a lock that is left over: two that have read the
 * same one must not both remove it, and with it the other's.
 */
async function take(folder: string, path: string, mine: string): Promise<void> {
  for (;;) {
    if (await create(path, mine)) return
    const found = await read(path)
    if (found === undefined) continue
    const [pid = '', start = ''] = found.split(' ')
    // In a container every process may have the same number as the one before: only its start tells them apart.
    const holds = Number(pid) > 0 && (await startOf(Number(pid))) === start
    if (holds) throw new Error(`${folder} is in use by another gateway (pid ${pid}): stop it or set another DATA_DIR`)
    const next = `${path}.next`
    await take(folder, next, mine)
    if ((await read(path)) === found) return rename(next, path)
    await unlink(next)
  }
}

/** Whole at once: nobody reads one that is being written. False: there is one. */
async function create(path: string, mine: string): Promise<boolean> {
  const whole = `${path}.${randomUUID()}`
  await writeFile(whole, mine, { flag: 'wx', mode: 0o600 })
  try {
    await link(whole, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    await unlink(whole)
  }
}

/** Undefined: there is none. */
async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}

/** In clock ticks since the machine started; undefined = there is no such process. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The name before it may hold spaces and brackets.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
