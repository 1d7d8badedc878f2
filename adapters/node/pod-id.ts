/** Who this pod is, over restarts: an id in `DATA_DIR`, which belongs to one process at a time. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** One that cannot be read is replaced: what the former process had under way then counts as another pod's. */
export async function loadPodId(dataDir: string, newId: () => string): Promise<string> {
  const path = join(dataDir, 'pod-id')
  const known = await readFile(path, 'utf8').catch(() => '')
  if (/^[0-9a-f-]{36}$/.test(known)) return known
  const id = newId()
  await mkdir(dataDir, { recursive: true })
  await writeFile(path, id, { mode: 0o600 })
  return id
}
