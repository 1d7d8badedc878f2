/**
 * All accounts share one credential at a provider, so a request may neither leave state there nor reach for any: it
 * would be another account's to find, or another account's own.
 */
import { ApiError } from '../errors.ts'

type Body = Record<string, unknown>

/** Names of things that are kept at the provider, wherever in a body they stand. */
const references = new Set(['file_id', 'file_ids', 'vector_store_ids'])
/** Only at the top; null is what SDKs send for nothing. */
const topReferences = ['previous_response_id', 'conversation']
const maxShownChars = 200

/** @throws ApiError that names the first field which refers to state kept at the provider. */
export function refuseStoredState(body: Body): void {
  for (const name of topReferences) if (body[name] != null) refuse(name)
  if (body.background === true) refuse('background')
  const { prompt } = body
  if (isObject(prompt) && (prompt as Body).id != null) refuse('prompt.id')
  for (const name in body) {
    // The caller's own tags, whatever they are called.
    if (name === 'metadata') continue
    const path = refers(name, body[name]) ? '' : pathWithin(body[name])
    if (path !== undefined) refuse(name + path)
  }
}

/** What must be put into the body so that the provider keeps nothing; `responses` are kept unless told otherwise. */
export function storeNothing(endpoint: string, { store }: Body): { store?: false } {
  return store === false || (store === undefined && endpoint !== 'responses') ? {} : { store: false }
}

/** The way to a reference, as in `[0].content[1].file_id`. */
function pathWithin(value: unknown): string | undefined {
  if (!isObject(value)) return undefined
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const path = typeof value[i] === 'object' ? pathWithin(value[i]) : undefined
      if (path !== undefined) return `[${i}]${path}`
    }
    return undefined
  }
  const object = value as Body
  if (object.type === 'item_reference') return '.type'
  for (const name in object) {
    const inner = object[name]
    const path = refers(name, inner) ? '' : pathWithin(inner)
    if (path !== undefined) return `.${name}${path}`
  }
  return undefined
}

/** In a tool's JSON schema a property may be called so: its value is an object then, and never is in a reference. */
const refers = (name: string, value: unknown) =>
  references.has(name) && value != null && (typeof value !== 'object' || Array.isArray(value))

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

function refuse(path: string): never {
  const param = path.slice(0, maxShownChars)
  throw new ApiError('stored_state_unsupported', {
    message: `${param} refers to state kept at the provider, which this gateway does not offer. Leave it out.`,
    param,
  })
}
