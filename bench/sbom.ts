/** `npm run sbom`: what the product is made of (CycloneDX, by npm itself), under which licences, and how large it is. */
import { execFileSync } from 'node:child_process'
import { globSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Bom {
  components: {
    name: string
    version: string
    licenses?: { license?: { id?: string; name?: string }; expression?: string }[]
  }[]
}

const root = join(import.meta.dirname, '..')
/** Those of `optionalDependencies` are Node and PostgreSQL for development, and in no image. */
const args = ['sbom', '--sbom-format=cyclonedx', '--omit=dev', '--omit=optional', '--package-lock-only']
const text = execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
writeFileSync(join(root, 'sbom.cdx.json'), text)

const byLicence = new Map<string, string[]>()
for (const { name, version, licenses = [] } of (JSON.parse(text) as Bom).components) {
  const licence = licenses.map(({ license, expression }) => license?.id ?? license?.name ?? expression).join(' and ')
  byLicence.set(licence || 'none told', [...(byLicence.get(licence || 'none told') ?? []), `${name}@${version}`])
}
for (const [licence, packages] of [...byLicence].sort()) console.log(`${licence}: ${packages.sort().join(', ')}`)

execFileSync(process.execPath, ['build.ts'], { cwd: root, stdio: 'ignore' })
const bytes = globSync('dist/**/*', { cwd: root })
  .map((file) => statSync(join(root, file)))
  .filter((entry) => entry.isFile())
  .reduce((sum, { size }) => sum + size, 0)
console.log(`\nsbom.cdx.json written. The bundle, which is all that the image adds to its base: ${(bytes / 1e6).toFixed(1)} MB.
The base's own packages are not listed, and no image was built: that needs an engine (docker sbom, syft).`)
