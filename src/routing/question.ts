/** What the planner has to know of a request, read from its body. The rest of the body is the provider's to judge. */
import { ApiError } from '../errors.ts'
import type { RouteQuestion } from './plan.ts'
import { type Capability, capabilities } from './table.ts'

const maxFallbacks = 8
const maxNameLength = 256

type Body = Record<string, unknown>

/** @throws ApiError that names the field. */
export function questionOf(body: Body): RouteQuestion {
  return { models: modelsOf(body), metadata: metadataOf(body.metadata), needs: needsOf(body) }
}

/** `models` stands in for `model` and `fallbacks` together. */
function modelsOf({ model, models, fallbacks }: Body): string[] {
  if (models !== undefined && models !== null) {
    const names = namesOf('models', models, maxFallbacks + 1)
    if (names.length === 0) throw wrong('models', `must hold 1 to ${maxFallbacks + 1} names of models`)
    return names
  }
  if (!isName(model)) throw wrong('model', `must be the name of a model, 1 to ${maxNameLength} characters`)
  return [model, ...namesOf('fallbacks', fallbacks ?? [], maxFallbacks)]
}

function namesOf(field: string, value: unknown, atMost: number): string[] {
  if (!Array.isArray(value) || value.length > atMost) throw wrong(field, `must be a list of at most ${atMost} models`)
  const bad = value.findIndex((name) => !isName(name))
  if (bad >= 0) throw wrong(`${field}.${bad}`, `must be the name of a model, 1 to ${maxNameLength} characters`)
  return value
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= maxNameLength

function metadataOf(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {}
  if (!isObject(value)) throw wrong('metadata', 'must be an object of texts')
  const bad = Object.keys(value).find((field) => typeof value[field] !== 'string')
  if (bad !== undefined) throw wrong(`metadata.${bad.slice(0, 64)}`, 'must be a text')
  return value
}

function needsOf(body: Body): Capability[] {
  const needs = new Set<Capability>()
  if (isFilled(body.tools) || isFilled(body.functions)) needs.add('tools')
  if (typeOf(body.response_format) === 'json_schema') needs.add('json_schema')
  // The Responses API says the same with other words.
  if (isObject(body.text) && typeOf(body.text.format) === 'json_schema') needs.add('json_schema')
  if (listOf(body.modalities).includes('audio')) needs.add('audio')
  for (const part of partsOf(body)) {
    if (isPicture(part)) needs.add('images')
    if (typeOf(part) === 'input_audio') needs.add('audio')
  }
  return capabilities.filter((capability) => needs.has(capability))
}

/** What the messages are made of that are not one text. */
function partsOf(body: Body): unknown[] {
  // What a function gave, in the Responses API, may be a picture, too.
  const parts = ({ content, output }: Body) => [...listOf(content), ...listOf(output)]
  return listOf(body.messages ?? body.input).flatMap((message) => (isObject(message) ? parts(message) : []))
}

const isPicture = (part: unknown): part is Body => typeOf(part) === 'image_url' || typeOf(part) === 'input_image'

/** Where the pictures in the messages are, or what they are: most are in the body itself. */
export const picturesIn = (body: Body): string[] =>
  partsOf(body)
    .filter(isPicture)
    .map(({ image_url: image }) => (isObject(image) ? image.url : image))
    .filter((url) => typeof url === 'string')

const isObject = (value: unknown): value is Body => typeof value === 'object' && value !== null && !Array.isArray(value)
const isFilled = (value: unknown) => Array.isArray(value) && value.length > 0
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const typeOf = (value: unknown) => (isObject(value) ? value.type : undefined)

const wrong = (param: string, rule: string) => new ApiError('invalid_body', { message: `${param}: ${rule}.`, param })
