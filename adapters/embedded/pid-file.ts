/** What `postmaster.pid` says, and whether it is still true. */
import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive, missing } from './cluster.ts'

export interface PidFile {
  pid: number
  socketDir: string
  /** Connections are accepted. */
  ready: boolean
}

/** https://www.postgresql.org/docs/18/storage-file-layout.html: line 1 is the pid, 5 the socket folder, 8 the status. */
export async function readPidFile(folder: string): Promise<PidFile | undefined> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(missing)
  const lines = text?.split('\n') ?? []
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  return { pid, socketDir: lines[4] ?? '', ready: lines[7]?.trim() === 'ready' }
}

/** Whether `pid` is a PostgreSQL that serves `folder`. After a power loss the number may be any other program's. */
export async function serves(pid: number, folder: string): Promise<boolean> {
  if (!isAlive(pid)) return false
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  if (name.trim() !== 'postgres') return false
  // A postmaster works in its data folder. Another user's is hidden and taken to be this one; a dead one's is gone.
  const cwd = await readlink(`/proc/${pid}/cwd`).catch((error: NodeJS.ErrnoException) => {
    return error.code === 'EACCES' || error.code === 'EPERM' ? folder : undefined
  })
  return cwd === folder
}
