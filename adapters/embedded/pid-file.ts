/** What `postmaster.pid` says, and whether it is still true. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive, missing } from './cluster.ts'

interface PidFile {
  pid: number
  /** Connections are accepted. */
  ready: boolean
  /** Folder of its Unix socket. */
  socketDir: string
}

/** https://www.postgresql.org/docs/18/storage-file-layout.html: line 1 is the pid, 5 the socket's folder, 8 the status. */
export async function readPidFile(folder: string): Promise<PidFile | undefined> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(missing)
  const lines = text?.split('\n') ?? []
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  return { pid, ready: lines[7]?.trim() === 'ready', socketDir: lines[4]?.trim() ?? '' }
}

/** Whether `pid` is a PostgreSQL that serves `folder`. After a power loss the number may be any other program's. */
export async function serves(pid: number, folder: string): Promise<boolean> {
  if (!isAlive(pid)) return false
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  if (name.trim() !== 'postgres') return false
  // A postmaster works in its data folder. Another user's is hidden and taken to be this one; a dead one's is gone.
  const [mine, its] = await Promise.all([stat(folder), stat(`/proc/${pid}/cwd`).catch(hidden)])
  return its === 'hidden' || (its !== 'gone' && its.dev === mine.dev && its.ino === mine.ino)
}

function hidden(error: NodeJS.ErrnoException): 'hidden' | 'gone' {
  return error.code === 'EACCES' || error.code === 'EPERM' ? 'hidden' : 'gone'
}
