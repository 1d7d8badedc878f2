/** The console's pages, as they lie in `adapters/console`: read once, at the start, since there are few and small ones. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ConsoleFiles } from '../../src/ports.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
const folder = fileURLToPath(new URL('../console/', import.meta.url))

export function readConsoleFiles(): ConsoleFiles {
  const files = new Map(
    readdirSync(folder).flatMap((name) => {
      const type = types[extname(name)]
      if (type === undefined) return []
      const bytes = readFileSync(folder + name)
      const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
      return [[name, { type, etag, bytes }] as const]
    }),
  )
  return (name) => files.get(name)
}
