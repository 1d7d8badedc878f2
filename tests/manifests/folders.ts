import { globSync } from 'node:fs'
import { dirname } from 'node:path'
import { manifests } from '../support/manifests.ts'

const kustomizations = (below: string) =>
  globSync(`${below}/**/kustomization.yaml`, { cwd: manifests })
    .map((path) => dirname(path))
    .sort()

/** Below `manifests`, each a whole deployment. */
export const overlays = kustomizations('overlays')
/** Names below `manifests/components`. */
export const components = kustomizations('components').map((path) => path.replace('components/', ''))
