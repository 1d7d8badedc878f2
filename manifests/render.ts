/** `npm run manifests`: the base as one file, to standard output; `-- --write` puts it into manifests/hpa.yaml. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kubectl } from '../tests/support/kubectl.ts'

try {
  const rendered = await kubectl('kustomize', import.meta.dirname)
  if (process.argv.includes('--write')) writeFileSync(join(import.meta.dirname, 'hpa.yaml'), rendered)
  else process.stdout.write(rendered)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
