/**
 * One example of a request, written out for each language. A test runs every one of them as it is printed here, so they
 * name no more than the gateway's URL, a credential, and the ids that their path is about: each an environment variable.
 */
import { type Example, type Language, languages, type RouteDoc } from './route.ts'

export interface Sample {
  lang: Language
  label: string
  source: string
}

export const samplesOf = (route: RouteDoc, example: Example): Sample[] =>
  (Object.keys(languages) as Language[]).map((lang) => ({
    lang,
    label: languages[lang],
    source: example.code?.[lang] ?? writers[lang](callOf(route, example)),
  }))

/** Texts whose odd pieces are names of environment variables. */
type Template = readonly string[]

interface Call {
  method: string
  url: Template
  credential: string | undefined
  headers: Record<string, string>
  body: Record<string, unknown> | undefined
  answer: 'json' | 'text' | 'nothing' | 'stream' | { file: string }
}

const variable = /\$([A-Z][A-Z_]*)/

function callOf(route: RouteDoc, example: Example): Call {
  const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = example.params?.[name] ?? ''
    return value.startsWith('$') ? value : encodeURIComponent(value)
  })
  const query = new URLSearchParams(example.query).toString()
  return {
    method: route.method,
    url: (query ? `${path}?${query}` : path).split(variable),
    credential: example.token ? 'GPUPROXY_TOKEN' : route.access === 'anyone' ? undefined : 'GPUPROXY_KEY',
    headers: { ...(example.body && { 'Content-Type': 'application/json' }), ...example.headers },
    body: example.body,
    answer: answerOf(route, example),
  }
}

function answerOf({ answers }: RouteDoc, { file, stream }: Example): Call['answer'] {
  if (stream) return 'stream'
  if (file !== undefined) return { file }
  const [first] = Object.entries(answers).sort(([a], [b]) => Number(a) - Number(b))
  const { json, types } = first![1]
  return json ? 'json' : types ? 'text' : 'nothing'
}

const writers: Record<Language, (call: Call) => string> = { curl, javascript, python }

function curl({ method, url, credential, headers, body, answer }: Call): string {
  const flags = `-sS --fail-with-body${answer === 'stream' ? ' -N' : ''}${method === 'GET' ? '' : ` -X ${method}`}`
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
  const pieces = (body ? literal(body, jsonWords, '  ') : '').split(variable)
  // A variable stands outside the single quotes, in double ones of its own.
  const data = pieces.map((piece, i) => (i % 2 === 0 ? quoted(piece) : `"$${piece}"`)).join('')
  return [
    `curl ${flags} "$GPUPROXY_URL${url.map((piece, i) => (i % 2 === 0 ? piece : `$${piece}`)).join('')}"`,
    ...(credential ? [`-H "Authorization: Bearer $${credential}"`] : []),
    ...Object.entries(headers).map(([name, value]) => `-H "${name}: ${value}"`),
    ...(body ? [`-d ${data}`] : []),
    ...(typeof answer === 'object' ? [`-o ${answer.file}`] : []),
  ].join(' \\\n  ')
}

function javascript({ method, url, credential, headers, body, answer }: Call): string {
  const address = url.map((piece, i) => (i % 2 === 0 ? piece : `\${process.env.${piece}}`)).join('')
  const allHeaders = [
    ...(credential ? [`authorization: \`Bearer \${process.env.${credential}}\``] : []),
    ...Object.entries(headers).map(([name, value]) => `'${name.toLowerCase()}': '${value}'`),
  ]
  const init = [
    ...(method === 'GET' ? [] : [`method: '${method}'`]),
    ...(allHeaders.length > 0 ? [`headers: {\n    ${allHeaders.join(',\n    ')},\n  }`] : []),
    ...(body ? [`body: JSON.stringify(${literal(body, jsWords, '  ')})`] : []),
  ]
  const given = init.length > 0 ? `, {\n  ${init.join(',\n  ')},\n}` : ''
  const show = {
    json: 'console.log(await response.json())',
    text: 'console.log(await response.text())',
    nothing: 'console.log(response.status)',
    stream: 'for await (const bytes of response.body) process.stdout.write(bytes)',
  }
  return [
    ...(typeof answer === 'object' ? [`import { writeFile } from 'node:fs/promises'`, ''] : []),
    `const response = await fetch(\`\${process.env.GPUPROXY_URL}${address}\`${given})`,
    `if (!response.ok) throw new Error(\`\${response.status}: \${await response.text()}\`)`,
    typeof answer === 'object'
      ? `await writeFile('${answer.file}', Buffer.from(await response.arrayBuffer()))`
      : show[answer],
  ].join('\n')
}

function python({ method, url, credential, headers, body, answer }: Call): string {
  // The base URL comes first, so the variables are the even ones here.
  const address = ['GPUPROXY_URL', ...url]
    .flatMap((piece, i) => (i % 2 === 0 ? [`os.environ["${piece}"]`] : [JSON.stringify(piece)]))
    .filter((piece) => piece !== '""')
  const allHeaders = [
    ...(credential ? [`"Authorization": "Bearer " + os.environ["${credential}"]`] : []),
    ...Object.entries(headers).map(([name, value]) => `"${name}": "${value}"`),
  ]
  const show = {
    json: 'print(json.load(response))',
    text: 'print(response.read().decode())',
    nothing: 'print(response.status)',
    stream: 'for line in response:\n        print(line.decode(), end="")',
  }
  const args = [
    address.join(' + '),
    ...(method === 'GET' ? [] : [`method="${method}"`]),
    ...(allHeaders.length > 0 ? [`headers={\n        ${allHeaders.join(',\n        ')},\n    }`] : []),
    ...(body ? [`data=json.dumps(${literal(body, pythonWords, '    ')}).encode()`] : []),
  ]
  const shown =
    typeof answer === 'object'
      ? `with open("${answer.file}", "wb") as file:\n        file.write(response.read())`
      : show[answer]
  const modules = body || answer === 'json' ? 'json, os, urllib.request' : 'os, urllib.request'
  return `import ${modules}

request = urllib.request.Request(
    ${args.join(',\n    ')},
)
with urllib.request.urlopen(request) as response:
    ${shown}`
}

interface Words {
  step: string
  text(value: string): string
  other(value: unknown): string
  name(value: string): string
  env(name: string): string
}

const jsonWords: Words = {
  step: '  ',
  text: (value) => JSON.stringify(value),
  other: (value) => JSON.stringify(value),
  name: (value) => JSON.stringify(value),
  env: (name) => `"$${name}"`,
}
const jsWords: Words = {
  step: '  ',
  text: (value) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`,
  other: (value) => JSON.stringify(value),
  name: (value) => (/^[a-z_]\w*$/i.test(value) ? value : `'${value}'`),
  env: (name) => `process.env.${name}`,
}
const pythonWords: Words = {
  step: '    ',
  text: (value) => JSON.stringify(value),
  other: (value) => (value === null ? 'None' : value === true ? 'True' : value === false ? 'False' : String(value)),
  name: (value) => JSON.stringify(value),
  env: (name) => `os.environ["${name}"]`,
}

/** A JSON value as the language writes it: on one line where it fits. */
function literal(value: unknown, words: Words, indent: string): string {
  if (typeof value === 'string') {
    return variable.exec(value)?.[0] === value ? words.env(value.slice(1)) : words.text(value)
  }
  if (typeof value !== 'object' || value === null) return words.other(value)
  const inner = indent + words.step
  const write = (inside: string) =>
    Array.isArray(value)
      ? value.map((item) => literal(item, words, inside))
      : Object.entries(value).map(([name, item]) => `${words.name(name)}: ${literal(item, words, inside)}`)
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  const space = open === '{' && words === jsWords ? ' ' : ''
  const last = words === jsonWords ? '' : ','
  const short = `${open}${space}${write(indent).join(', ')}${space}${close}`
  if (short.length <= 76 && !short.includes('\n')) return short
  return `${open}\n${write(inner)
    .map((item) => inner + item)
    .join(',\n')}${last}\n${indent}${close}`
}
