/** `npm run build`: the gateway and the operator's tool, each one file that runs alone on Node 24, for the image. */
import { readFileSync } from 'node:fs'
import { build } from 'esbuild'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }

await build({
  entryPoints: ['adapters/node/main.ts', 'adapters/node/admin.ts'],
  outdir: 'dist/adapters/node',
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: true,
  define: { BUNDLED_VERSION: JSON.stringify(version) },
  // Started outside production only, so not part of what production runs.
  external: ['../sandbox/sandbox.ts', '../embedded/postgres.ts'],
  // CommonJS packages in the bundle ask for built-in modules by `require`.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'info',
})
