import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RoutingTable } from '../../src/routing/table.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { type RoutingFileOptions, readRoutingFile, watchRoutingFile } from './routing-file.ts'

let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'routing-'))
  path = join(dir, 'routing.yaml')
})
afterEach(() => rmSync(dir, { recursive: true }))

const local = (url = 'http://127.0.0.1:8401/v1') => `
providers:
  local: { kind: openai, base_url: "${url}" }
models:
  m: { targets: [ { provider: local } ] }
`
const read = (text: string, more: Partial<RoutingFileOptions> = {}) => {
  writeFileSync(path, text)
  return readRoutingFile({ path, env: {}, known: {}, ...more })
}
async function refusal(text: string, more: Partial<RoutingFileOptions> = {}): Promise<string> {
  const message = await read(text, more).then(
    () => expect.fail('was not refused'),
    (error: Error) => {
      expect(error.name).toBe('RoutingError')
      return error.message
    },
  )
  expect(message.startsWith(`${path}: `)).toBe(true)
  expect(message).not.toContain('\n')
  return message.slice(path.length + 2)
}

describe('the routing file', () => {
  it("is read with the environment's values in the place of their names", async () => {
    const text = `
providers:
  openai: { kind: openai, base_url: "\${URL}/v1", api_keys: [ "\${KEY}", "\${NONE}", "\${FILED}" ], headers: { x-a: "a \${KEY} \${KEY}" } }
models:
  "*": { targets: [ { provider: openai } ] }  # \${COMMENT}
`
    const secret = join(dir, 'secret')
    writeFileSync(secret, 'sk-2\n')
    const { table } = await read(text, { env: { URL: 'http://h', KEY: 'sk-1', FILED_FILE: secret } })
    expect(table.providers.get('openai')).toMatchObject({
      baseUrl: 'http://h/v1',
      apiKeys: ['sk-1', 'sk-2'],
      headers: { 'x-a': 'a sk-1 sk-1' },
    })
  })

  it('takes no YAML and no further names from a value', async () => {
    const value = `x", evil: "y' } ] # \${URL} $& *`
    const { table } = await read(`${local().replace('kind', `headers: { a: "\${VALUE}" }, kind`)}`, {
      env: { VALUE: value, URL: 'canary' },
    })
    expect(table.providers.get('local')?.headers).toEqual({ a: value })
  })

  it('may use anchors', async () => {
    const { table } = await read(`
providers: { local: { kind: openai, base_url: http://h } }
models:
  m: { targets: &all [ { provider: local } ] }
  n: { targets: *all }
`)
    expect(table.models.get('n')?.targets).toEqual(table.models.get('m')?.targets)
  })

  const open = (fields: string) => `
providers: { openai: { kind: openai, ${fields} } }
models: { "*": { targets: [ { provider: openai } ] } }
`
  const known = { openai: { baseUrl: 'http://known/v1', apiKey: 'sk-known' } }

  it.each([
    [`base_url: "\${OPENAI_BASE_URL}", api_keys: [ "\${OPENAI_API_KEY}" ]`, 'http://known/v1', ['sk-known']],
    ['api_keys: [ sk-own ]', 'http://known/v1', ['sk-own']],
    ['headers: {}', 'http://known/v1', ['sk-known']],
    // Somebody else's server never gets the known key.
    ['base_url: http://other', 'http://other', []],
    [`base_url: http://other, api_keys: [ "\${OPENAI_API_KEY}" ]`, 'http://other', []],
  ])(
    'without a base URL a well-known provider is the one of the environment (%s)',
    async (fields, baseUrl, apiKeys) => {
      const { table } = await read(open(fields), { known })
      expect(table.providers.get('openai')).toMatchObject({ baseUrl, apiKeys })
    },
  )

  it('is refused where a base URL is empty, naming the variable that is unset', async () => {
    expect(await refusal(open(`base_url: "\${OPENAI_BASE_URL}"`))).toBe(
      'providers.openai.base_url is empty: OPENAI_BASE_URL is not set',
    )
    expect(await refusal(open('headers: {}'))).toContain('providers.openai.base_url is missing')
    expect(await refusal(local(''), { known })).toContain('providers.local.base_url must be')
  })

  const bad: [string, string][] = [
    ['', 'the file must be an object of providers, models'],
    ['providers: [', 'line 1, column 13: this is not valid YAML'],
    ['a: {canary: "canary}', 'this is not valid YAML'],
    ['a: !!canary canary', 'line 1, column 4: this is not valid YAML (tag resolve failed)'],
    [`${local()}  n: {}\n  m: {}\n`, 'line 7, column 3: this key stands twice'],
    ['a: 1\n---\nb: 2', 'this is not valid YAML (multiple docs)'],
    ['[a]: 2', 'this is not valid YAML (non string key)'],
    [local(`\${A`), `a text has "\${" without the name of a variable`],
    [local(`\${A:-http://h}`), `a text has "\${" without the name of a variable`],
    [local(`\${BAD_FILE}`), 'is empty: BAD_FILE is not set'],
    [local(`\${FILED}`), 'uses FILED, and FILED_FILE=/none cannot be read'],
    [`a: &a [${'x,'.repeat(50)}]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(50)}]`, 'too many aliases'],
    [`a: ${'['.repeat(100_000)}`, 'this is not valid YAML'],
    ['%YAML 1.1\n---\nproviders: &p [canary]\n<<: *p\n', 'this is not valid YAML (merge keys)'],
    [`# ${'x'.repeat(2 ** 20)}`, 'is larger than 1 MiB'],
  ]
  it.each(bad.map(([text, message]) => ({ text, message })))(
    'is refused, its content not shown: $message',
    async ({ text, message }) => {
      const said = await refusal(text, { env: { FILED_FILE: '/none' } })
      expect(said).toContain(message)
      expect(said).not.toContain('canary')
    },
  )

  it('is refused where there is none', async () => {
    await expect(readRoutingFile({ path, env: {}, known: {} })).rejects.toThrow(`${path}: cannot be read (ENOENT)`)
    await expect(readRoutingFile({ path: dir, env: {}, known: {} })).rejects.toThrow(`${dir}: is not a file`)
  })
})

it('of the documentation is read as it stands', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/routing.md'), 'utf8')
  const [, example] = /```yaml\n([\s\S]*?)```/.exec(page)!
  const { table } = await read(example!, { env: { OPENAI_BASE_URL: 'https://api.openai.com/v1' } })
  expect([...table.models.keys()]).toContain('*')
})

describe('a routing file that is watched', () => {
  let clock: FakeClock
  let stop: AbortController
  let taken: (string | undefined)[]
  let refused: string[]
  let watch: ReturnType<typeof watchRoutingFile>
  let env: Record<string, string | undefined>

  const urlOf = (table: RoutingTable) => table.providers.get('local')?.baseUrl

  beforeEach(async () => {
    clock = new FakeClock()
    stop = new AbortController()
    taken = []
    refused = []
    env = {}
    writeFileSync(path, local())
    const { version } = await readRoutingFile({ path, env, known: {} })
    watch = watchRoutingFile({
      path,
      env,
      known: {},
      version,
      clock,
      signal: stop.signal,
      onTable: ({ table }) => void taken.push(urlOf(table)),
      onRefused: ({ message }) => void refused.push(message),
    })
  })
  afterEach(() => stop.abort())

  /** Time goes on, a little while the disk works, until the promise has settled. */
  async function finished(promise: Promise<void>) {
    let done = false
    void promise.finally(() => {
      done = true
    })
    while (!done) await clock.advance(50)
    return promise
  }
  const reload = () => finished(watch.reload())
  async function polledUntil(condition: () => boolean) {
    while (!condition()) await clock.advance(50)
  }

  it('is taken within seconds of its change, and by nobody asking', async () => {
    writeFileSync(path, local('http://two'))
    await polledUntil(() => taken.length > 0)
    expect(taken).toEqual(['http://two'])
  })

  it('is taken once for each change', async () => {
    await reload()
    expect(taken).toEqual([])
    writeFileSync(path, local('http://two'))
    await reload()
    await reload()
    expect(taken).toEqual(['http://two'])
    writeFileSync(path, local('http://three'))
    await reload()
    expect(taken).toEqual(['http://two', 'http://three'])
    expect(refused).toEqual([])
  })

  it('is seen where another file is put in its place, or a link is set to another folder', async () => {
    const other = join(dir, 'other')
    writeFileSync(other, local('http://renamed'))
    renameSync(other, path)
    await reload()
    mkdirSync(join(dir, 'v2'))
    writeFileSync(join(dir, 'v2', 'routing.yaml'), local('http://linked'))
    symlinkSync(join(dir, 'v2', 'routing.yaml'), other)
    renameSync(other, path)
    await reload()
    expect(taken).toEqual(['http://renamed', 'http://linked'])
  })

  it('is refused whole where it is bad, and what was running stays', async () => {
    writeFileSync(path, local('http://two').replace('targets', 'target'))
    await polledUntil(() => refused.length > 0)
    expect(refused[0]).toContain('models.m has an unknown field, target')
    writeFileSync(path, local('http://three'))
    await reload()
    expect(taken).toEqual(['http://three'])
    expect(refused).toHaveLength(1)
  })

  it('is reported once for each bad content, and again where somebody asks', async () => {
    writeFileSync(path, 'a: [')
    await polledUntil(() => refused.length > 0)
    for (let i = 0; i < 500; i++) await clock.advance(50)
    expect(refused).toHaveLength(1)
    rmSync(path)
    await polledUntil(() => refused.length > 1)
    expect(refused).toEqual([expect.stringContaining('not valid YAML'), `${path}: cannot be read (ENOENT)`])
    await reload()
    expect(refused).toHaveLength(3)
  })

  it('is running again once it says again what was running, without a change', async () => {
    writeFileSync(path, 'a: [')
    await reload()
    writeFileSync(path, local())
    await reload()
    expect(taken).toEqual([])
    writeFileSync(path, 'a: [')
    await polledUntil(() => refused.length > 1)
    expect(refused).toHaveLength(2)
  })

  it('is not taken while it is being written', async () => {
    writeFileSync(path, local('http://half'))
    const done = watch.reload()
    // The second look comes after a while that only the clock can end.
    while (clock.pendingTimers === 0) await clock.advance(0)
    writeFileSync(path, local('http://whole'))
    await finished(done)
    expect(taken).toEqual([])
    await reload()
    expect(taken).toEqual(['http://whole'])
  })

  it('is taken where a variable changes in its file', async () => {
    const url = join(dir, 'url')
    writeFileSync(url, 'http://one\n')
    env.SERVER_FILE = url
    writeFileSync(path, local(`\${SERVER}`))
    await reload()
    writeFileSync(url, 'http://two\n')
    await reload()
    expect(taken).toEqual(['http://one', 'http://two'])
  })

  it('is let go of at the signal, with no timer left', async () => {
    await reload()
    stop.abort()
    await clock.advance(0)
    expect(clock.pendingTimers).toBe(0)
    writeFileSync(path, local('http://two'))
    await watch.reload()
    await clock.advance(10_000)
    expect(taken).toEqual([])
  })
})
