/** `npm run build`: the gateway and the operator's tool, with what they share, for the image. */
import { cpSync, readFileSync } from 'node:fs'
import { build } from 'esbuild'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }

await build({
  entryPoints: ['adapters/node/main.ts', 'adapters/node/admin.ts'],
  outdir: 'dist/adapters/node',
  bundle: true,
  // What is imported where it is wanted stays in files of its own, so that a start reads no more than it needs.
  splitting: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: true,
  define: { BUNDLED_VERSION: JSON.stringify(version) },
  // Started outside production only, so not part of what production runs.
  external: ['../sandbox/sandbox.ts', '../embedded/postgres.ts'],
  // CommonJS packages in the bundle ask for built-in modules by `require`.
  banner: { js: "import { createRequire } from 'node:module'; var require = createRequire(import.meta.url);" },
  logLevel: 'info',
})

cpSync('adapters/console', 'dist/adapters/console', { recursive: true })
