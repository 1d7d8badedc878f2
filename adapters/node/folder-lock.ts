/** A folder belongs to one process at a time. A lock of a process that is gone is taken over. */
import { readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Answers the release. @throws Error that names the process that has it. */
export async function takeFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'lock')
  const mine = `${process.pid} ${(await startOf(process.pid)) ?? ''}`
  for (;;) {
    try {
      await writeFile(path, mine, { flag: 'wx', mode: 0o600 })
      return async () => {
        if ((await readFile(path, 'utf8').catch(() => '')) === mine) await unlink(path)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const [pid = '', start = ''] = (await readFile(path, 'utf8').catch(() => '')).split(' ')
    // In a container every process may have the same number as the one before: only its start tells them apart.
    const holds = Number(pid) > 0 && (await startOf(Number(pid))) === start
    if (holds) throw new Error(`${folder} is in use by another gateway (pid ${pid}): stop it or set another DATA_DIR`)
    await unlink(path).catch(() => {})
  }
}

/** In clock ticks since the machine started; undefined = there is no such process. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The name before it may hold spaces and brackets.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
