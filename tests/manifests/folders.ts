import { existsSync, globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { manifests } from '../support/manifests.ts'

const kustomizations = (below: string) =>
  globSync(`${below}/**/kustomization.yaml`, { cwd: manifests })
    .map((path) => dirname(path))
    .sort()

/** Below `manifests`, each a whole deployment. */
export const overlays = kustomizations('overlays')
/** Names below `manifests/components`. */
export const components = kustomizations('components')
  .map((path) => path.replace('components/', ''))
  // Until its dashboard is written.
  .filter((name) => name !== 'monitoring' || existsSync(join(manifests, 'components/monitoring/dashboard.json')))
