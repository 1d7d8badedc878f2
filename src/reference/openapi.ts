/** The OpenAPI 3.1 document, made of the table of routes and of the schemas that validate. */
import * as z from 'zod'
import { type ErrorCode, errorTable } from '../errors.ts'
import { truth } from '../routes/offer-filters.ts'
import { numeral } from '../routes/parse.ts'
import { glossary } from './glossary.ts'
import { type Access, type Answer, type RouteDoc, sections } from './route.ts'
import { routes } from './routes.ts'
import { type Sample, samplesOf } from './samples.ts'
import { openAiError, problem } from './shapes.ts'

export type JsonSchema = { [name: string]: unknown } & {
  $ref?: string
  type?: string
  properties?: Record<string, JsonSchema>
  description?: string
}

export interface Operation {
  operationId: string
  tags: string[]
  summary: string
  description?: string
  security: Record<string, string[]>[]
  parameters: Parameter[]
  requestBody?: { required: boolean; content: Content }
  responses: Record<string, { description: string; headers?: Record<string, Described>; content?: Content }>
  'x-error-codes': string[]
  'x-codeSamples': (Sample & { title: string })[]
}
type Described = { description: string; schema: JsonSchema }
type Content = Record<string, { schema?: JsonSchema }>
export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required: boolean
  description?: string
  schema: JsonSchema
}
export interface OpenApiDocument {
  openapi: '3.1.1'
  info: { title: string; version: string; description: string; license: object }
  servers: { url: string }[]
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  components: {
    securitySchemes: object
    schemas: Record<string, JsonSchema>
    responses: Record<string, Response>
    headers: Record<string, Described>
  }
  'x-errors': Record<string, { status: number; message: string }>
}

const text = { type: 'string' }

export function openApiDocument(version: string): OpenApiDocument {
  return atOnce(openApiSteps(version))
}

/** Where nobody else has to wait. */
export function atOnce<T>(steps: Generator<void, T>): T {
  let step = steps.next()
  while (!step.done) step = steps.next()
  return step.value
}

/** A route at a time: all of it takes long enough for others to have to wait. */
export function* openApiSteps(version: string): Generator<void, OpenApiDocument> {
  const components: Record<string, JsonSchema> = {}
  const paths: OpenApiDocument['paths'] = {}
  // The errors' shapes are named from the start: most routes refer to them.
  for (const shape of [problem, openAiError]) jsonSchema(shape, components)
  for (const route of routes) {
    const operation = { [route.method.toLowerCase()]: operationOf(route, components) }
    paths[route.path] = { ...paths[route.path], ...operation }
    yield
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'aiserve-gpuproxy',
      version,
      description:
        'One API key, one OpenAI-compatible endpoint and one bill in front of GPU markets and model providers. `/v1` is OpenAI’s own API; `/api/v1` is the platform.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: Object.entries(sections).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key or an access token.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'An API key.' },
      },
      schemas: components,
      responses: sharedErrorResponses(),
      headers: commonHeaders,
    },
    'x-errors': Object.fromEntries(
      Object.entries(errorTable).map(([code, { status, message }]) => [code, { status, message }]),
    ),
  }
}

const commonHeaders: Record<string, Described> = {
  'x-request-id': { description: 'The gateway’s own id of the request, on every answer.', schema: text },
  RateLimit: { description: 'What is left of the limit, and when it is whole again.', schema: text },
  'RateLimit-Policy': { description: 'The limit: requests (`q`) in so many seconds (`w`).', schema: text },
  'Retry-After': {
    description: 'Seconds after which asking again may help; with every 429 and 503 but `provider_not_configured`.',
    schema: text,
  },
}

function operationOf(route: RouteDoc, components: Record<string, JsonSchema>): Operation {
  const codes = errorCodesOf(route)
  return {
    operationId: route.name,
    tags: [route.section],
    summary: route.summary,
    description: [route.about, accessWords[route.access]].filter(Boolean).join('\n\n'),
    security: route.access === 'anyone' ? [] : [{ bearer: [] }, { apiKey: [] }],
    parameters: parametersOf(route),
    ...(route.body && {
      requestBody: {
        required: !route.body.optional,
        content: {
          [route.body.type ?? 'application/json']: {
            schema: described(jsonSchema(route.body.schema, components), route.words),
          },
        },
      },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, responseOf(route, answer, components)]),
      ),
      ...errorResponses(route, codes),
    },
    'x-error-codes': codes,
    'x-codeSamples':
      'none' in route.examples
        ? []
        : route.examples.flatMap((example) =>
            samplesOf(route, example).map((sample) => ({ ...sample, title: example.title })),
          ),
  }
}

function responseOf(route: RouteDoc, answer: Answer, components: Record<string, JsonSchema>) {
  const headers = Object.entries(answer.headers ?? {}).map(([name, description]) => [
    name,
    { description, schema: text },
  ])
  const content: Content = {}
  if (answer.json) {
    content[jsonTypeOf(route)] = { schema: described(jsonSchema(answer.json, components), route.words) }
  }
  for (const type of answer.types ?? []) content[type] = {}
  return {
    description: answer.about,
    headers: { ...Object.fromEntries(headers), ...commonHeadersOf(route) },
    ...(Object.keys(content).length > 0 && { content }),
  }
}

/** A set of keys has a media type of its own (RFC 7517). */
const jsonTypeOf = ({ name }: RouteDoc) =>
  name === 'listReceiptKeys' ? 'application/jwk-set+json' : 'application/json'

const headerRef = (name: string) => ({ $ref: `#/components/headers/${name}` }) as unknown as Described
const commonHeadersOf = ({ access }: RouteDoc) =>
  Object.fromEntries(
    ['x-request-id', ...(access === 'anyone' ? [] : ['RateLimit', 'RateLimit-Policy'])].map((name) => [
      name,
      headerRef(name),
    ]),
  )

type Response = Operation['responses'][string]

/** One for each status, shared by all routes of a front; which codes a route has, its `x-error-codes` say. */
function errorResponses(route: RouteDoc, codes: ErrorCode[]): Operation['responses'] {
  const shape = route.path.startsWith('/v1/') ? 'OpenAiError' : 'Problem'
  const statuses = [...new Set(codes.map((code) => errorTable[code].status))].sort((a, b) => a - b)
  return Object.fromEntries(
    statuses
      .filter((status) => !(status in route.answers))
      .map((status) => [String(status), { $ref: `#/components/responses/${shape}${status}` } as unknown as Response]),
  )
}

function sharedErrorResponses(): Record<string, Response> {
  const statuses = [...new Set(Object.values(errorTable).map(({ status }) => status))].sort((a, b) => a - b)
  const responseOf = (shape: string, type: string, status: number): [string, Response] => {
    const codes = Object.entries(errorTable).flatMap(([code, error]) =>
      error.status === status ? [`\`${code}\``] : [],
    )
    const waits = status === 429 || status === 503
    const response: Response = {
      description: `One of ${codes.join(', ')}; which ones, the route’s \`x-error-codes\` say.`,
      headers: {
        'x-request-id': headerRef('x-request-id'),
        ...(waits && { 'Retry-After': headerRef('Retry-After') }),
      },
      content: { [type]: { schema: { $ref: `#/components/schemas/${shape}` } } },
    }
    return [`${shape}${status}`, response]
  }
  return Object.fromEntries(
    statuses.flatMap((status) => [
      responseOf('Problem', 'application/problem+json', status),
      responseOf('OpenAiError', 'application/json', status),
    ]),
  )
}

function parametersOf(route: RouteDoc): Parameter[] {
  const words = { ...glossary, ...route.words }
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(
    ([, name]): Parameter => ({ name: name!, in: 'path', required: true, description: words[name!]!, schema: text }),
  )
  const { properties = {}, required = [] } = (route.query ? jsonSchema(route.query, {}) : {}) as JsonSchema & {
    required?: string[]
  }
  const inQuery = Object.entries(properties).map(
    ([name, schema]): Parameter => ({
      name,
      in: 'query',
      required: required.includes(name),
      description: words[name]!,
      schema,
    }),
  )
  const headers = {
    ...(route.idempotencyKey && { 'Idempotency-Key': idempotencyWords }),
    ...route.headers,
  }
  const inHeaders = Object.entries(headers).map(
    ([name, description]): Parameter => ({
      name,
      in: 'header',
      required: name === 'Idempotency-Key' && route.idempotencyKey === 'required',
      description,
      schema: text,
    }),
  )
  return [...inPath, ...inQuery, ...inHeaders]
}

const idempotencyWords =
  '1 to 255 printable characters, new for each thing wanted done. The same request with the same key is done once; the answer given again carries `Idempotent-Replayed: true`.'

const accessWords: Record<Access, string> = {
  anyone: '',
  known: 'Takes any API key or access token.',
  session: 'Takes an access token, not an API key.',
  keys: 'Takes an access token, or an administrator’s key with the scope `admin`.',
  inference: 'Needs the scope `inference`.',
  gpu: 'Needs the scope `gpu`.',
  billing: 'Needs the scope `billing`.',
  receipts: 'Needs the scope `inference` (for requests of the same key) or `billing`.',
  admin: 'Needs an administrator and the scope `admin`.',
}

/** Its own, and those that its access, body, query and key bring with them. */
export function errorCodesOf(route: RouteDoc): ErrorCode[] {
  const { access, body, query, idempotencyKey, writes, errors = [] } = route
  const codes = new Set<ErrorCode>(errors)
  const add = (...more: ErrorCode[]) => {
    for (const code of more) codes.add(code)
  }
  if (access !== 'anyone') {
    add('missing_credential', 'invalid_credential', 'rate_limited', 'database_unavailable')
    if (access !== 'known') add('scope_missing')
    if (access === 'admin') add('administrator_only')
    if (access === 'inference' || access === 'gpu') add('overloaded')
  }
  if (body)
    add(
      'invalid_body',
      'body_too_large',
      'unsupported_media_type',
      'unsupported_encoding',
      'body_timeout',
      'overloaded',
    )
  if (body && !body.type) add('invalid_json', 'body_too_deep', 'body_too_many_keys', 'body_too_many_values')
  if (query) add('invalid_query')
  if (idempotencyKey === 'required') add('idempotency_key_required')
  if (idempotencyKey) {
    add('invalid_header', 'idempotency_mismatch', 'idempotency_in_flight', 'idempotency_unavailable')
    add('idempotency_outcome_lost', 'idempotency_answer_too_large')
  }
  if (writes) add('read_only', 'database_unavailable')
  if (route.section !== 'Operation') add('internal')
  return (Object.keys(errorTable) as ErrorCode[]).filter((code) => codes.has(code))
}

/** What a schema is made of. */
interface Inner {
  in?: unknown
  out?: z.ZodType
  innerType?: z.ZodType
  defaultValue?: number
}

/** With the shapes that have a name of their own under `components`. */
function jsonSchema(schema: z.ZodType, components: Record<string, JsonSchema>): JsonSchema {
  const {
    $defs,
    $schema: _,
    ...own
  } = z.toJSONSchema(schema, {
    // What a caller writes, before it is read into the program's own units.
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const { in: from, out, innerType, defaultValue } = zodSchema._zod.def as Inner
      // In a query every value is a text; what it says is what its reader is told.
      if (from === numeral && out) replace(jsonSchema, z.toJSONSchema(out) as JsonSchema)
      if (innerType && (innerType._zod.def as Inner).in === numeral) jsonSchema.default = defaultValue
      if (zodSchema === truth) replace(jsonSchema, { type: 'boolean' })
      // Times are checked by rules that no reader wants to see spelt out.
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern
      if (zodSchema._zod.def.type === 'file') Object.assign(jsonSchema, { type: 'string', format: 'binary' })
      for (const [name, inner] of Object.entries(jsonSchema.properties ?? {})) {
        if (typeof inner === 'object' && 'not' in inner) delete jsonSchema.properties![name]
      }
    },
  }) as JsonSchema & { $defs?: Record<string, JsonSchema> }
  const moved = JSON.parse(
    JSON.stringify({ own, $defs }, (name, value) =>
      name === '$ref' ? String(value).replace('#/$defs/', '#/components/schemas/') : value,
    ),
  ) as { own: JsonSchema; $defs?: Record<string, JsonSchema> }
  for (const [name, inner] of Object.entries(moved.$defs ?? {})) components[name] = described(withoutId(inner))
  const { id, ...rest } = moved.own
  if (typeof id !== 'string') return moved.own
  components[id] = described(rest)
  return { $ref: `#/components/schemas/${id}` }
}

function replace(schema: object, { $schema: _, ...by }: JsonSchema) {
  for (const name of Object.keys(schema)) delete (schema as JsonSchema)[name]
  Object.assign(schema, by)
}

const withoutId = ({ id: _, ...schema }: JsonSchema): JsonSchema => schema

/** Every property with its words. */
function described(schema: JsonSchema, own: Record<string, string> = {}): JsonSchema {
  const words = { ...glossary, ...own }
  const walk = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(walk)
    if (typeof node !== 'object' || node === null) return node
    const { properties, ...rest } = node as JsonSchema
    const others = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, walk(value)]))
    if (!properties) return others
    const shown = Object.entries(properties).map(([name, inner]) => {
      const description = inner.description ?? words[name]
      return [name, { ...(walk(inner) as JsonSchema), ...(description !== undefined && { description }) }]
    })
    return { ...others, properties: Object.fromEntries(shown) }
  }
  return walk(schema) as JsonSchema
}
