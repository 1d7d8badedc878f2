import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { newId } from './identity.ts'

/** Of whoever has this folder: what a former run left in the books is told by it. Made once. */
export async function loadPodId(folder: string): Promise<string> {
  const path = join(folder, 'pod-id')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const known = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  if (/^[0-9a-f-]{36}$/.test(known.trim())) return known.trim()
  const id = newId()
  await writeFile(path, `${id}\n`, { mode: 0o600 })
  return id
}
