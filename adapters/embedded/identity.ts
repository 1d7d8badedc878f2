/**
 * PostgreSQL refuses to run as root. A gateway that is root starts it as nobody; where nobody cannot reach the programs
 * or the data (a checkout below a root-only folder), it runs in a user namespace in which root is called nobody.
 */
import { chown, lchown, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.ts'

export interface Identity {
  /** Put before every command. */
  prefix: string[]
  /** For `spawn`. */
  spawn: { uid?: number; gid?: number }
  /** Who must own the data, as the gateway sees it; undefined = whoever runs the gateway. */
  owner: number | undefined
}

interface Choice extends Identity {
  /** The major version that `postgres` says it is. */
  major: string
}

const nobody = 65534
const asNobody: Identity = { prefix: [], spawn: { uid: nobody, gid: nobody }, owner: nobody }
const asRenamedRoot: Identity = {
  prefix: ['unshare', '-U', `--map-user=${nobody}`, `--map-group=${nobody}`],
  spawn: {},
  owner: 0,
}
const asMyself: Identity = { prefix: [], spawn: {}, owner: undefined }

/** The identity under which `postgres` runs and `folder` can be entered. */
export async function chooseIdentity(postgres: string, folder: string, signal?: AbortSignal): Promise<Choice> {
  const root = process.getuid?.() === 0
  const failures: string[] = []
  for (const identity of root ? [asNobody, asRenamedRoot] : [asMyself]) {
    const script = 'cd "$2" && exec "$1" --version'
    const args = ['-c', script, 'sh', postgres, folder]
    // A root without the right to become another user is told so by an exception.
    const probe = await run(identity, '/bin/sh', args, signal ? { signal } : {}).catch((error: Error) => {
      signal?.throwIfAborted()
      return { code: null, stdout: '', stderr: error.message }
    })
    const major = /\(PostgreSQL\) (\d+)/.exec(probe.stdout)?.[1]
    if (probe.code === 0 && major) return { ...identity, major }
    failures.push(probe.stderr.trim().split('\n')[0] ?? '')
  }
  const advice = root
    ? 'run the gateway as a normal user, move the project and DATA_DIR out of root-only folders, or set DATABASE_URL'
    : 'check the permissions, or set DATABASE_URL'
  throw new Error(`The embedded PostgreSQL cannot run here (${failures.join('; ')}): ${advice}`)
}

/** A folder that was used under another identity changes hands, once. */
export async function giveTo(identity: Identity, folder: string): Promise<void> {
  const { owner } = identity
  if (owner === undefined || (await stat(folder)).uid === owner) return
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await lchown(join(entry.parentPath, entry.name), owner, owner)
  }
  // The folder itself comes last: a change of hands that was cut short is done again.
  await chown(folder, owner, owner)
}
