/**
 * The routing file: YAML with `${NAME}` for what the environment holds. Variables are put in after parsing, so that no
 * value can be read as YAML. A changed file is taken while the gateway runs, whole or not at all.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { isScalar, LineCounter, parseDocument, visit } from 'yaml'
import type { Clock } from '../../src/ports.ts'
import { sleep } from '../../src/resilience/clock.ts'
import { parseRoutingTable, RoutingError } from '../../src/routing/parse-table.ts'
import type { RoutingTable } from '../../src/routing/table.ts'

const maxBytes = 2 ** 20
const maxAliasCount = 100
/** Polled: Kubernetes swaps a link and editors put a new file in place, which watchers of files miss. */
const pollMs = 2_000
/** A changed file is taken once it has held still for so long: half of one that is being written may be valid YAML. */
const settleMs = 250

export interface RoutingFileOptions {
  path: string
  env: Record<string, string | undefined>
  /** What the environment or the sandbox gives under a well-known name, for a provider that has no base URL here. */
  known: Record<string, { baseUrl: string; apiKey: string | undefined }>
}

export interface RoutingFile {
  table: RoutingTable
  /** Changes with the file's content and with what its variables hold. */
  version: string
}

/** @throws RoutingError, one line that says what to do. */
export async function readRoutingFile(options: RoutingFileOptions): Promise<RoutingFile> {
  const content = await readContent(options)
  return { table: tableOf(content, options), version: content.version }
}

export interface WatchOptions extends RoutingFileOptions {
  /** That of the table in use. */
  version: string
  clock: Clock
  signal: AbortSignal
  onTable(file: RoutingFile): void
  /** Once for each bad content. The table in use stays. */
  onRefused(error: RoutingError): void
}

export interface RoutingFileWatch {
  /** Looks at once, and reports a bad file again. Resolves when what there was to do is done. */
  reload(): Promise<void>
}

export function watchRoutingFile(options: WatchOptions): RoutingFileWatch {
  const { clock, signal, onTable, onRefused } = options
  let running = options.version
  let refused: string | undefined
  let asked: PromiseWithResolvers<void> | undefined
  let wake = () => {}

  async function watch() {
    while (!signal.aborted) {
      if (!asked) await pause()
      const answering = asked
      asked = undefined
      if (!signal.aborted) await check(answering !== undefined)
      answering?.resolve()
    }
    asked?.resolve()
  }

  const pause = () =>
    new Promise<void>((resolve) => {
      wake = () => {
        cancel()
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const cancel = clock.setTimer(pollMs, wake)
      signal.addEventListener('abort', wake, { once: true })
    })

  async function check(again: boolean) {
    const first = await readContent(options)
    if (first.version === running) refused = undefined
    if (first.version === running || (first.version === refused && !again)) return
    // One that is still changing is looked at again at the next poll.
    const content = (await held()) ? await readContent(options) : undefined
    if (content?.version !== first.version) return
    try {
      const table = tableOf(content, options)
      running = content.version
      refused = undefined
      onTable({ table, version: running })
    } catch (error) {
      refused = content.version
      // Whatever is wrong with it, or with us: the one in use stays, and so does the process.
      onRefused(error instanceof RoutingError ? error : new RoutingError(`cannot be taken: ${String(error)}`))
    }
  }

  const held = () =>
    sleep(clock, settleMs, signal).then(
      () => true,
      () => false,
    )

  void watch()
  return {
    reload() {
      if (signal.aborted) return Promise.resolve()
      asked ??= Promise.withResolvers()
      wake()
      return asked.promise
    },
  }
}

interface Content {
  version: string
  text: string
  variables: ReadonlyMap<string, string>
  /** Why there is nothing to parse. */
  problem: string | undefined
}

const variable = /\$\{([A-Za-z_]\w*)\}/g
const variablesIn = (text: string) => [...text.matchAll(variable)].map(([, name]) => name!)

async function readContent({ path, env }: RoutingFileOptions): Promise<Content> {
  try {
    const text = await readText(path)
    const variables = new Map<string, string>()
    for (const name of new Set(variablesIn(text))) variables.set(name, await variableValue(name, env))
    const version = createHash('sha256')
      .update(JSON.stringify([text, ...variables]))
      .digest('hex')
    return { version, text, variables, problem: undefined }
  } catch (error) {
    const { code } = error as { code?: string }
    if (!(error instanceof RoutingError) && code === undefined) throw error
    const problem = error instanceof RoutingError ? error.message : `cannot be read (${code})`
    return { version: problem, text: '', variables: new Map(), problem }
  }
}

async function readText(path: string): Promise<string> {
  // Opening a pipe would wait for its writer.
  if (!(await stat(path)).isFile()) throw new RoutingError('is not a file')
  // The end is included.
  const bytes = Buffer.concat(await createReadStream(path, { end: maxBytes }).toArray())
  if (bytes.length > maxBytes) throw new RoutingError('is larger than 1 MiB')
  return bytes.toString('utf8')
}

/** As of every variable of the gateway: its own value, else that of the file which `NAME_FILE` names, else nothing. */
async function variableValue(name: string, env: RoutingFileOptions['env']): Promise<string> {
  const path = env[`${name}_FILE`]
  if (env[name] || !path) return env[name] ?? ''
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '')
  } catch {
    throw new RoutingError(`uses ${name}, and ${name}_FILE=${path} cannot be read`)
  }
}

function tableOf({ text, variables, problem }: Content, { path, known }: RoutingFileOptions): RoutingTable {
  try {
    if (problem !== undefined) throw new RoutingError(problem)
    const raw = parseYaml(text)
    const document = interpolate(raw, variables)
    fillProviders(document, raw, known)
    return parseRoutingTable(document)
  } catch (error) {
    if (error instanceof RoutingError) throw new RoutingError(`${path}: ${error.message}`)
    // The stack's end, or too many aliases: nobody writes such a file by hand.
    if (error instanceof RangeError || error instanceof ReferenceError) {
      throw new RoutingError(`${path}: nests too deeply or has too many aliases`)
    }
    throw error
  }
}

function parseYaml(text: string): unknown {
  const lines = new LineCounter()
  // The package's own search for keys that stand twice takes a minute for a file of a hundred thousand.
  const document = parseDocument(text, { stringKeys: true, uniqueKeys: false, lineCounter: lines })
  const refuse = (offset: number, what: string): never => {
    const { line, col } = lines.linePos(offset)
    throw new RoutingError(`line ${line}, column ${col}: ${what}`)
  }
  const [problem] = [...document.errors, ...document.warnings]
  // Its own message quotes the file, which may hold credentials.
  if (problem) refuse(problem.pos[0], `this is not valid YAML (${problem.code.toLowerCase().replaceAll('_', ' ')})`)
  visit(document, {
    Map(_, { items }) {
      const keys = new Set<unknown>()
      for (const { key } of items) {
        if (!isScalar(key)) continue
        if (keys.has(key.value)) refuse(key.range?.[0] ?? 0, 'this key stands twice')
        keys.add(key.value)
      }
    },
  })
  try {
    return document.toJS({ maxAliasCount })
  } catch (error) {
    // The stack's end, or too many aliases: nobody writes such a file by hand.
    if (error instanceof RangeError || error instanceof ReferenceError) throw error
    // Of keys that are merged, the package says in plain errors what is wrong with them.
    throw new RoutingError('this is not valid YAML (merge keys)')
  }
}

function interpolate(value: unknown, variables: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') {
    if (value.replaceAll(variable, '').includes('${')) {
      throw new RoutingError('a text has "${" without the name of a variable and a closing brace after it')
    }
    return value.replaceAll(variable, (_, name: string) => variables.get(name) ?? '')
  }
  if (Array.isArray(value)) return value.map((one) => interpolate(one, variables))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, interpolate(one, variables)]))
}

/** API keys that nobody set are dropped, and a provider without a base URL is the one known by that name, if any. */
function fillProviders(document: unknown, raw: unknown, known: RoutingFileOptions['known']) {
  for (const [name, provider] of Object.entries(field(document, 'providers') ?? {})) {
    if (!isObject(provider)) continue
    if (Array.isArray(provider.api_keys)) provider.api_keys = provider.api_keys.filter((key) => key !== '')
    if (provider.base_url) continue
    const given = Object.hasOwn(known, name) ? known[name] : undefined
    if (given) {
      provider.base_url = given.baseUrl
      // Only with its own URL: a key goes to nobody but whom it is for.
      if (given.apiKey && !(provider.api_keys as unknown[] | undefined)?.length) provider.api_keys = [given.apiKey]
    } else {
      const url = field(field(field(raw, 'providers'), name), 'base_url')
      const unset = typeof url === 'string' ? variablesIn(url) : []
      if (unset.length > 0) {
        throw new RoutingError(`providers.${name}.base_url is empty: ${unset.join(', ')} is not set`)
      }
    }
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const field = (value: unknown, name: string): unknown =>
  isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
