/** The body of Vast.ai's PUT /api/v0/asks/{id}/: what is rented, or what is wrong with it. */
import { isRecord } from './vendor.ts'

export interface VastOrder {
  image: string
  diskGb: number
  label: string
  /** As they came: variables, and `-p 8000:8000` among them. */
  env: readonly [name: string, value: string][]
  /** TCP ports of the container to be published. */
  ports: readonly number[]
  args: readonly string[]
  onstart: string
  runtype: string
  /** Dollars an hour, of an interruptible machine; undefined = on demand. */
  bid: number | undefined
  /** False: it is made, and starts when it is told to. */
  starts: boolean
}

const runtypes = ['ssh', 'jupyter', 'args', 'ssh_proxy', 'ssh_direct', 'jupyter_proxy', 'jupyter_direct']

export type Wrong = { error: 'invalid_args' | 'invalid_price'; msg: string }

export function readVastOrder(body: unknown): VastOrder | Wrong {
  if (!isRecord(body)) return invalid('the body is not a JSON object')
  const { image, disk = 8, label, runtype, onstart, price, target_state: target = 'running' } = body
  if (typeof image !== 'string' || image === '') return invalid('image: required without a template')
  if (typeof disk !== 'number' || disk < 8) return invalid('disk: expected at least 8 GB')
  if (!isText(label, 256)) return invalid('label: expected a text of at most 256 characters')
  if (!isText(onstart, 4048)) return invalid('onstart: expected a text of at most 4048 characters')
  if (runtype != null && !runtypes.includes(String(runtype))) return invalid('runtype: no such type')
  if (target !== 'running' && target !== 'stopped') return invalid('target_state: expected running or stopped')
  const env = readEnv(body.env)
  if (!env) return invalid('env: expected an object or docker flags')
  const args = readArgs(body)
  if (!args) return invalid('args: expected a list of texts')
  if (price != null && !(typeof price === 'number' && price >= 0.001 && price <= 128)) {
    return { error: 'invalid_price', msg: 'price: expected 0.001 to 128' }
  }
  return {
    image,
    diskGb: disk,
    label: label ?? '',
    env,
    ports: env.flatMap(([name]) => publishedPort(name) ?? []),
    args,
    onstart: onstart ?? '',
    runtype: runtype == null ? (args.length > 0 ? 'args' : 'ssh') : String(runtype),
    bid: price ?? undefined,
    starts: target === 'running',
  }
}

const invalid = (msg: string): Wrong => ({ error: 'invalid_args', msg })

const isText = (value: unknown, most: number): value is string | null | undefined =>
  value == null || (typeof value === 'string' && value.length <= most)

function readEnv(env: unknown): [string, string][] | undefined {
  if (env == null) return []
  if (typeof env === 'string') return parseFlags(wordsOf(env))
  return isRecord(env) ? Object.entries(env).map(([name, value]) => [name, String(value)]) : undefined
}

/** `-e NAME=value -p 8000:8000`, as of `docker run`. */
function parseFlags(words: readonly string[]): [string, string][] {
  const env: [string, string][] = []
  for (let at = 0; at < words.length - 1; at++) {
    const next = words[at + 1]!
    const [name = '', ...value] = next.split('=')
    if (words[at] === '-e' || words[at] === '--env') env.push([name, value.join('=')])
    if (words[at] === '-p' || words[at] === '--publish') env.push([`-p ${next}`, '1'])
  }
  return env
}

function publishedPort(name: string): number | undefined {
  const [, port] = /^-p \d{1,5}:(\d{1,5})(?:\/tcp)?$/.exec(name) ?? []
  return port === undefined ? undefined : Number(port)
}

function readArgs({ args, args_str: text }: Record<string, unknown>): string[] | undefined {
  if (typeof text === 'string') return wordsOf(text)
  if (args == null) return []
  return Array.isArray(args) && args.every((word) => typeof word === 'string') ? args : undefined
}

/** Split at spaces, but for those within quotes. */
function wordsOf(text: string): string[] {
  const words = text.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? []
  return words.map((word) => word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'))
}
