/** The table of routes is the app's: no route without its words, no words without their route. */
import { expect, test } from 'vitest'
import { type AppOptions, createApp } from '../../src/app.ts'
import { type ErrorCode, errorTable } from '../../src/errors.ts'
import { atOnce, errorCodesOf, openApiDocument } from '../../src/reference/openapi.ts'
import { referencePageSteps } from '../../src/reference/page.ts'
import { routes } from '../../src/reference/routes.ts'
import { notOffered, statefulFamilies } from '../../src/routes/openai-bodies.ts'

/** Whatever is asked of it: routes take their options apart and call nothing before a request comes. */
const anything: unknown = new Proxy(() => {}, {
  get: (_target, name) => (name === Symbol.iterator ? () => [][Symbol.iterator]() : anything),
  apply: () => anything,
})

const document = openApiDocument('1.0.0')
const refused = [...statefulFamilies.flatMap((family) => [family, `${family}/*`]), ...notOffered].map(
  (path) => `/v1/${path}`,
)
/** `/v1/models/:id{.+}` as OpenAPI writes it. */
const templateOf = (path: string) =>
  path.replace(/:(\w+)\{([a-z|]+)\}/g, ':$1').replace(/:(\w+)(?:\{[^}]*\})?/g, '{$1}')
/** What the pages for people are made of is no API. */
const isPage = (path: string) => path === '/admin' || path === '/console' || path.startsWith('/console/')
/** The rest of a proxied path is kept apart before routing: it is the machine's. */
const withRest = (path: string) => path.replace(/\/proxy$/, '/proxy/{path}')
const verbs = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

test('every route of the app is in the reference, and no other', () => {
  const found = createApp(anything as AppOptions).routes
  // Checks before a handler are middleware of one name; what takes every method and path is middleware, too.
  const handlers = found.filter(
    ({ path, handler, method }) =>
      handler.name !== 'guard' &&
      !isPage(path) &&
      !refused.includes(path) &&
      !(method === 'ALL' && path.endsWith('/*')),
  )
  const registered = handlers.flatMap(({ method, path }) =>
    (method === 'ALL' ? verbs : [method]).map((verb) => `${verb} ${withRest(templateOf(path))}`),
  )
  const written = routes.map(({ method, path }) => `${method} ${path}`)
  expect(registered.sort()).toEqual([...written].sort())
})

test('every operation has a name of its own', () => {
  const names = routes.map(({ name }) => name)
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
})

test('every error of the table is one of some route or of the edge, or can come anywhere', () => {
  const atTheEdge: ErrorCode[] = ['not_cached', 'stale_unusable', 'region_unreachable']
  const everywhere: ErrorCode[] = ['unknown_route', 'method_not_allowed', 'client_closed', 'unsupported_endpoint']
  const told = new Set<string>([...everywhere, ...atTheEdge, ...routes.flatMap(errorCodesOf)])
  expect(Object.keys(errorTable).filter((code) => !told.has(code))).toEqual([])
})

test('every parameter and every field is described', () => {
  const bare: string[] = []
  const look = (where: string, node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { properties } = node as { properties?: Record<string, { description?: string }> }
    for (const [name, field] of Object.entries(properties ?? {})) {
      if (!field.description && !vendors.has(name) && !windows.test(name)) bare.push(`${where}: ${name}`)
    }
    for (const inner of Object.values(node)) look(where, inner)
  }
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      for (const { name, description } of operation.parameters) {
        if (!description) bare.push(`${method} ${path}: parameter ${name}`)
      }
      look(`${method} ${path}`, [operation.requestBody, operation.responses])
    }
  }
  look('components', document.components.schemas)
  expect([...new Set(bare)]).toEqual([])
})
/** OpenAI documents its own. */
const vendors = new Set(['prompt_tokens', 'completion_tokens', 'total_tokens', 'url', 'b64_json'])
const windows = /^\d+(min|h)$/

test('every reference within the document leads somewhere', () => {
  const text = JSON.stringify(document)
  const refs = [...text.matchAll(/"\$ref":"#\/components\/(\w+)\/([^"]+)"/g)]
  expect(refs.length).toBeGreaterThan(100)
  const components = document.components as unknown as Record<string, Record<string, unknown>>
  expect(refs.filter(([, kind, name]) => !components[kind!]?.[name!]).map(([ref]) => ref)).toEqual([])
})

test('the page needs nothing from elsewhere, and every link within it leads somewhere', () => {
  const page = atOnce(referencePageSteps(document))
  expect(page).not.toMatch(/<script|<style|\sstyle=|\son\w+=|(?:src|href)="(?:https?:)?\/\//)
  const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
  expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
  const links = [...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id)
  expect(links.length).toBeGreaterThan(routes.length)
  expect(links.filter((id) => !ids.includes(id!))).toEqual([])
})
