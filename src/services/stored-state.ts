/**
 * All accounts share one credential at a provider, so a request may neither leave state there nor reach for any: it
 * would be another account's to find, or another account's own.
 */
import { sha256 } from '../domain/canonical.ts'
import { thinks } from '../domain/thinking.ts'
import { ApiError } from '../errors.ts'

type Body = Record<string, unknown>

/** Some servers read a name in any case, or without its underscores. Twice: `ſ` and the Kelvin sign are letters then. */
const folded = (name: string) => name.toUpperCase().toLowerCase().replace(/[_-]/g, '')
const foldedSet = (...names: string[]) => new Set(names.map(folded))

/** Names of things that are kept at the provider, wherever in a body they stand. */
const references = foldedSet(
  ...['file_id', 'file_ids', 'vector_store_id', 'vector_store_ids', 'container', 'container_id', 'skill_id'],
  ...['tunnel_id', 'connector_id', 'previous_response_id', 'comparison_response_id'],
)
const shortestReference = Math.min(...[...references].map((name) => name.length))
/** Only at the top; null is what SDKs send for nothing. */
const topReferences = foldedSet('previous_response_id', 'conversation')
/** Where one of these is an object with an id, it was made before and is kept. */
const keptById = new Set(['audio', 'voice'])
const maxShownChars = 200

/** @throws ApiError that names the first field which refers to state kept at the provider. */
export function refuseStoredState(body: Body): void {
  for (const name in body) {
    // The caller's own tags, whatever they are called.
    if (name === 'metadata') continue
    const path = refersAtTop(name, body[name]) ? '' : pathFrom(name, body[name])
    if (path !== undefined) refuse(name + path)
  }
}

const sealedThoughts = 'reasoning.encrypted_content'

/**
 * The fields by which the provider keeps nothing; `responses` are kept unless told otherwise. What a caller then misses
 * goes along: thoughts come back sealed, to be sent again; tags for what is kept, which OpenAI refuses without it, are left out.
 */
export function storeNothing(endpoint: string, model: string, value: Body): Body {
  const fields: Body = {}
  const { store, include } = value
  if (endpoint === 'responses') {
    if (store === false) return fields
    fields.store = false
    const asked = include == null ? [] : include
    // Others refuse a body that asks for it.
    if (thinks(model, value) && Array.isArray(asked) && !asked.includes(sealedThoughts)) {
      fields.include = [...asked, sealedThoughts]
    }
  } else if (store !== undefined && store !== false) {
    fields.store = false
    if (endpoint === 'chat/completions' && 'metadata' in value) fields.metadata = undefined
  }
  return fields
}

const callersNames = ['prompt_cache_key', 'safety_identifier', 'user'] as const

/**
 * Names that a caller gives to a cache or to a person: at the provider those of all accounts are in one room, so each
 * account's get a shape that no other can make. 64 characters, which is what OpenAI takes.
 */
export async function ownNames(accountId: string, body: Body): Promise<Record<string, string>> {
  const names: Record<string, string> = {}
  for (const field of callersNames) {
    if (body[field] != null) names[field] = await sha256(JSON.stringify([accountId, body[field]]))
  }
  return names
}

function refersAtTop(name: string, value: unknown): boolean {
  if (value == null) return false
  const key = folded(name)
  if (topReferences.has(key)) return true
  if (key === 'background') return value === true || /^(?:true|1|yes|on)$/i.test(String(value))
  // Under its own name it is set to false.
  if (key === 'store') return name !== key && value !== false
  // A form has no objects: `prompt[id]` stands for one.
  if (!/[[.]/.test(key)) return false
  const parts = key.split(/[[\].]+/).filter(Boolean)
  return parts.at(-1) === 'id' || parts.some((part) => references.has(part) || topReferences.has(part))
}

/** The way to a reference from a field, as in `[0].content[1].file_id`; empty = the field itself. */
function pathFrom(name: string, value: unknown): string | undefined {
  if (refers(name, value)) return ''
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const path = typeof value[i] === 'object' ? pathFrom(name, value[i]) : undefined
      if (path !== undefined) return `[${i}]${path}`
    }
    return undefined
  }
  const object = value as Body
  const own = ownReference(name, object)
  if (own !== undefined) return `.${own}`
  for (const inner in object) {
    // A service that the caller opens there, not one that somebody has opened before.
    if (inner === 'connector_id' && object.authorization) continue
    const path = pathFrom(inner, object[inner])
    if (path !== undefined) return `.${inner}${path}`
  }
  return undefined
}

/** In a tool's JSON schema a property may be called so: its value is an object then, and never is in a reference. */
const refers = (name: string, value: unknown) =>
  value != null &&
  (typeof value !== 'object' || Array.isArray(value)) &&
  name.length >= shortestReference &&
  references.has(folded(name))

/** The field by which an object stands for something that is kept. */
function ownReference(name: string, object: Body): string | undefined {
  const { type, id } = object
  if (typeof type === 'string' && folded(type) === 'itemreference') return 'type'
  if (id == null || typeof id === 'object') return undefined
  const field = folded(name)
  return keptById.has(field) || field === 'prompt' || (field === 'input' && isLookedUp(object)) ? 'id' : undefined
}

/** An item of `input` that says nothing itself: the provider would look for it by its id. */
function isLookedUp({ type, role, encrypted_content: sealed, content, result }: Body): boolean {
  switch (type) {
    case undefined:
    case null:
      return role == null
    case 'reasoning':
      return !sealed && !(Array.isArray(content) && content.length > 0)
    case 'image_generation_call':
      return !result
    default:
      return false
  }
}

function refuse(path: string): never {
  const param = path.slice(0, maxShownChars)
  throw new ApiError('stored_state_unsupported', {
    message: `${param} refers to state kept at the provider, which this gateway does not offer. Leave it out.`,
    param,
  })
}
