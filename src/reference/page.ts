/** The document as a page: plain HTML, read without a script, and searched with the browser's own search. */
import type { JsonSchema, OpenApiDocument, Operation, Parameter } from './openapi.ts'

interface Route {
  method: string
  path: string
  operation: Operation
}

/** A section at a time: see `openApiSteps`. */
export function* referencePageSteps(document: OpenApiDocument): Generator<void, string> {
  const { info, tags, components } = document
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Route => ({ method, path, operation })),
  )
  const of = (tag: string) => all.filter(({ operation }) => operation.tags[0] === tag)
  const written: string[] = []
  for (const { name, description } of tags) {
    written.push(sectionOf(name, description, of(name), components.schemas))
    yield
  }
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(info.title)}: API reference</title>
<link rel="stylesheet" href="/docs/style.css">
<link rel="icon" href="/docs/icon.svg" type="image/svg+xml">
</head>
<body>
<a class="skip" href="#main">Skip to the routes</a>
<nav aria-label="Routes">
<a href="#main"><strong>${escaped(info.title)}</strong> ${escaped(info.version)}</a>
${tags
  .map(
    ({ name }) =>
      `<h2>${escaped(name)}</h2>\n<ul>${of(name)
        .map(
          ({ method, path, operation }) =>
            `<li><a href="#${operation.operationId}" title="${escaped(path)}">${methodTag(method)} ${escaped(operation.summary)}</a></li>`,
        )
        .join('')}</ul>`,
  )
  .join('\n')}
<h2>Everywhere</h2>
<ul><li><a href="#errors">Errors</a></li><li><a href="#headers">Headers</a></li></ul>
</nav>
<main id="main">
<h1>API reference</h1>
<p>${prose(info.description)}</p>
${gettingStarted}
${written.join('\n')}
${errorSection(document)}
${headerSection(document)}
</main>
</body>
</html>
`
}

const gettingStarted = `<p>Send your API key as <code>Authorization: Bearer …</code> or as <code>X-API-Key</code>. The examples take it and the gateway’s address from the environment:</p>
<pre tabindex="0">export GPUPROXY_URL=http://localhost:8080
export GPUPROXY_KEY=ak_live_…</pre>
<p>Some need an access token in place of a key: <code>GPUPROXY_TOKEN</code>, which <a href="#login">signing in</a> gives.
This page as a document for tools: <a href="/openapi.json">OpenAPI 3.1</a>.</p>`

function sectionOf(name: string, description: string, routes: Route[], schemas: Schemas): string {
  return `<section aria-labelledby="${anchor(name)}">
<h2 id="${anchor(name)}">${escaped(name)}</h2>
<p>${prose(description)}</p>
${routes.map((route) => articleOf(route, schemas)).join('\n')}
</section>`
}

type Schemas = Record<string, JsonSchema>

function articleOf({ method, path, operation }: Route, schemas: Schemas): string {
  const { operationId: id, summary, description = '', parameters, requestBody, responses } = operation
  const [bodyType, body] = Object.entries(requestBody?.content ?? {})[0] ?? []
  const at = (place: Parameter['in'], title: string) =>
    parameterTable(
      title,
      parameters.filter((p) => p.in === place),
    )
  const answers = Object.entries(responses).filter(([status]) => Number(status) < 400)
  return `<article aria-labelledby="${id}">
<h3 id="${id}">${escaped(summary)}</h3>
<p class="path">${methodTag(method)} ${escaped(path)}</p>
${description
  .split('\n\n')
  .filter(Boolean)
  .map((text) => `<p>${prose(text)}</p>`)
  .join('\n')}
${at('path', 'Path')}${at('query', 'Query')}${at('header', 'Request headers')}
${body ? `<h4>Body <span class="quiet">${bodyType}${requestBody?.required ? '' : ', may be left out'}</span></h4>${fields(body.schema!, schemas)}` : ''}
<h4>Answers</h4>
${answersOf(answers, schemas)}
${errorsOf(operation)}
${samplesIn(operation)}
</article>`
}

type Answers = [status: string, answer: Operation['responses'][string]][]

/** Of answers with the same shape the first tells its fields. */
function answersOf(answers: Answers, schemas: Schemas): string {
  const told = new Map<string, string>()
  const shown = answers.map(([status, answer]) => {
    const shape = Object.values(answer.content ?? {}).find(({ schema }) => schema)?.schema
    const known = told.get(JSON.stringify(shape))
    if (shape) told.set(JSON.stringify(shape), known ?? status)
    const itsFields = shape && `<details><summary>Fields</summary>${fields(shape, schemas)}</details>`
    return answerOf(status, answer) + (known ? `<p class="quiet">Fields as of ${known}.</p>` : (itsFields ?? ''))
  })
  return shown.join('\n')
}

function answerOf(status: string, answer: Answers[number][1]): string {
  const content = Object.entries(answer.content ?? {})
  const types = content.map(([type]) => `<code>${type}</code>`).join(', ')
  const own = Object.entries(answer.headers ?? {}).filter(([, header]) => header.description)
  const headers = own.map(([name, header]) => `<li><code>${name}</code>: ${prose(header.description)}</li>`).join('')
  return `<p><strong>${status}</strong> ${prose(answer.description)} <span class="quiet">${types}</span></p>${
    headers && `<ul>${headers}</ul>`
  }`
}

const errorsOf = (operation: Operation) =>
  operation['x-error-codes'].length === 0
    ? ''
    : `<details><summary>Errors (${operation['x-error-codes'].length})</summary><p>${operation['x-error-codes']
        .map((code) => `<a href="#error-${code}"><code>${code}</code></a>`)
        .join(', ')}</p></details>`

function samplesIn(operation: Operation): string {
  const titles = [...new Set(operation['x-codeSamples'].map(({ title }) => title))]
  return titles
    .map((title, i) => {
      const samples = operation['x-codeSamples'].filter((sample) => sample.title === title)
      const shown = samples.map(
        ({ lang, label, source }) =>
          `<details name="${operation.operationId}-${i}"${lang === 'curl' ? ' open' : ''}><summary>${label}</summary><pre tabindex="0" aria-label="${label}"><code>${escaped(source)}</code></pre></details>`,
      )
      return `<h4>Example: ${escaped(title)}</h4>\n${shown.join('\n')}`
    })
    .join('\n')
}

const parameterTable = (title: string, parameters: Parameter[]) =>
  parameters.length === 0
    ? ''
    : `<h4>${title}</h4>${table(
        ['Name', 'Type', 'Meaning'],
        parameters.map(({ name, required, description = '', schema }) => [
          `<code>${name}</code>`,
          escaped(typeOf(schema)),
          `${required && !title.startsWith('Path') ? '<strong>Required.</strong> ' : ''}${prose(description)}`,
        ]),
      )}`

/** A row for each field, those of objects within under a name with dots. */
function fields(schema: JsonSchema, schemas: Schemas): string {
  const rows = rowsOf(schema, schemas, '', 0)
  return rows.length === 0 ? '' : table(['Field', 'Type', 'Meaning'], rows)
}

const deepest = 3

function rowsOf(schema: JsonSchema, schemas: Schemas, prefix: string, depth: number): string[][] {
  const shape = objectIn(schema, schemas)
  if (!shape || depth > deepest) return []
  const required = (shape.required ?? []) as string[]
  return Object.entries(shape.properties ?? {}).flatMap(([name, inner]) => {
    const field = prefix + name
    const isList = resolved(inner, schemas).type === 'array'
    return [
      [
        `<code>${field}</code>`,
        escaped(typeOf(inner, schemas)) + (required.includes(name) ? '' : ' <span class="quiet">optional</span>'),
        prose(inner.description ?? ''),
      ],
      ...rowsOf(inner, schemas, `${field}${isList ? '[]' : ''}.`, depth + 1),
    ]
  })
}

const resolved = (schema: JsonSchema, schemas: Schemas): JsonSchema =>
  schema.$ref ? (schemas[schema.$ref.split('/').at(-1)!] ?? schema) : schema

/** The object that a field is, or holds a list of. */
function objectIn(schema: JsonSchema, schemas: Schemas): JsonSchema | undefined {
  const own = resolved(schema, schemas)
  if (own.properties) return own
  if (own.items) return objectIn(own.items as JsonSchema, schemas)
  const kinds = alternatives(own).flatMap((each): JsonSchema[] => {
    const kind = objectIn(each, schemas)
    return kind ? [kind] : []
  })
  if (kinds.length < 2) return kinds[0]
  // Of several shapes, every field that one of them has.
  return { properties: Object.assign({}, ...kinds.map(({ properties }) => properties)), required: [] }
}

const alternatives = ({ anyOf, oneOf, allOf }: JsonSchema) => (anyOf ?? oneOf ?? allOf ?? []) as JsonSchema[]

function typeOf(schema: JsonSchema, schemas: Schemas = {}): string {
  const own = resolved(schema, schemas)
  const kinds = alternatives(own)
  if (kinds.length > 0) return [...new Set(kinds.map((each) => typeOf(each, schemas)))].join(' or ')
  if (own.const !== undefined) return JSON.stringify(own.const)
  if (own.enum) return (own.enum as unknown[]).map((value) => JSON.stringify(value)).join(' | ') + bounds(own)
  if (own.type === 'array') return `list of ${own.items ? typeOf(own.items as JsonSchema, schemas) : 'anything'}`
  const type = Array.isArray(own.type) ? own.type.join(' or ') : (own.type ?? 'anything')
  return (own.format ? `${type} (${own.format})` : type) + bounds(own)
}

function bounds({ minimum, maximum, exclusiveMinimum, minLength, maxLength, default: usual }: JsonSchema): string {
  const isWide = (value: unknown) => typeof value !== 'number' || Math.abs(value) >= 1e9
  const from = isWide(minimum) ? (exclusiveMinimum === 0 ? 'above 0' : '') : `from ${minimum}`
  const to = isWide(maximum) ? '' : `to ${maximum}`
  const length = maxLength === undefined ? '' : `${minLength ?? 0} to ${maxLength} characters`
  const simple = usual === undefined || typeof usual === 'object' ? '' : `default ${usual}`
  const all = [[from, to].filter(Boolean).join(' '), length, simple].filter(Boolean)
  return all.length > 0 ? `, ${all.join(', ')}` : ''
}

const errorSection = (document: OpenApiDocument) => `<section aria-labelledby="errors">
<h2 id="errors">Errors</h2>
<p>Under <code>/v1</code> an error has OpenAI’s envelope, <code>{"error": {"message", "type", "param", "code"}}</code>; everywhere else it is
<code>application/problem+json</code> (RFC 9457) with <code>code</code> and <code>request_id</code>. The code is stable; messages may become more exact.</p>
${table(
  ['Code', 'Status', 'Message'],
  Object.entries(document['x-errors']).map(([code, { status, message }]) => [
    `<code id="error-${code}">${code}</code>`,
    String(status),
    escaped(message),
  ]),
)}
</section>`

const headerSection = ({ components }: OpenApiDocument) => `<section aria-labelledby="headers">
<h2 id="headers">Headers</h2>
${table(
  ['Header', 'Meaning'],
  Object.entries(components.headers).map(([name, { description }]) => [`<code>${name}</code>`, prose(description)]),
)}
</section>`

const table = (head: string[], rows: string[][]) =>
  `<div class="table"><table><thead><tr>${head.map((cell) => `<th scope="col">${cell}</th>`).join('')}</tr></thead>
<tbody>${rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`).join('\n')}</tbody></table></div>`

const methodTag = (method: string) => `<span class="method ${method}">${method.toUpperCase()}</span>`
const anchor = (name: string) => name.toLowerCase().replaceAll(' ', '-')
const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string) => text.replace(/[&<>"]/g, (letter) => entities[letter]!)
/** Words with `code` in them. */
const prose = (text: string) => escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>')
