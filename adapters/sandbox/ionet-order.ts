/** The body of io.net's POST /deploy: what is deployed, or everything that is wrong with it, in the manner of FastAPI. */
import { isRecord } from './vendor.ts'

export interface IonetOrder {
  resource_private_name: string
  duration_hours: number
  gpus_per_container: number
  hardware_id: number
  location_ids: number[]
  container_config: {
    replica_count: number
    env_variables?: Record<string, string> | null
    secret_env_variables?: Record<string, string> | null
    entrypoint?: string[] | null
    args?: string[] | null
    traffic_port?: number | null
  }
  registry_config: { image_url: string; registry_username?: string | null; registry_secret?: string | null }
}

export interface Problem {
  loc: (string | number)[]
  msg: string
  type: string
}

type Place = Problem['loc']
type Check = (value: unknown, loc: Place) => Problem[]
type Fields = Record<string, { required: boolean; check: Check }>

export const readOrder = (body: unknown): IonetOrder | Problem[] => read(body, order)

export const readExtension = (body: unknown): { duration_hours: number } | Problem[] =>
  read(body, { duration_hours: required(integer(1)) })

function read<T>(body: unknown, fields: Fields): T | Problem[] {
  const problems = record(fields)(body, ['body'])
  return problems.length > 0 ? problems : (body as T)
}

const problem = (loc: Place, type: string, msg: string): Problem[] => [{ loc, msg, type }]

const text: Check = (value, loc) => {
  if (typeof value !== 'string') return problem(loc, 'string_type', 'Input should be a valid string')
  return value === '' ? problem(loc, 'string_too_short', 'String should have at least 1 character') : []
}

const integer =
  (least: number, most = Number.MAX_SAFE_INTEGER): Check =>
  (value, loc) => {
    if (!Number.isInteger(value)) return problem(loc, 'int_type', 'Input should be a valid integer')
    const number = value as number
    if (number < least) {
      return problem(loc, 'greater_than_equal', `Input should be greater than or equal to ${least}`)
    }
    return number > most ? problem(loc, 'less_than_equal', `Input should be less than or equal to ${most}`) : []
  }

const list =
  (least: number, check: Check): Check =>
  (value, loc) => {
    if (!Array.isArray(value)) return problem(loc, 'list_type', 'Input should be a valid list')
    if (value.length < least) return problem(loc, 'too_short', `List should have at least ${least} item`)
    return value.flatMap((item, index) => check(item, [...loc, index]))
  }

const texts: Check = (value, loc) => {
  if (!isRecord(value)) return problem(loc, 'dict_type', 'Input should be a valid dictionary')
  return Object.entries(value).flatMap(([name, item]) =>
    typeof item === 'string' ? [] : problem([...loc, name], 'string_type', 'Input should be a valid string'),
  )
}

const record =
  (fields: Fields): Check =>
  (value, loc) => {
    if (!isRecord(value)) return problem(loc, 'model_attributes_type', 'Input should be a valid dictionary')
    const known = Object.entries(fields).flatMap(([name, { required, check }]) => {
      if (value[name] === undefined) return required ? problem([...loc, name], 'missing', 'Field required') : []
      return value[name] === null && !required ? [] : check(value[name], [...loc, name])
    })
    const unknown = Object.keys(value)
      .filter((name) => !Object.hasOwn(fields, name))
      .flatMap((name) => problem([...loc, name], 'extra_forbidden', 'Extra inputs are not permitted'))
    return [...known, ...unknown]
  }

const required = (check: Check) => ({ required: true, check })
const optional = (check: Check) => ({ required: false, check })

const order: Fields = {
  resource_private_name: required(text),
  duration_hours: required(integer(1)),
  gpus_per_container: required(integer(1)),
  hardware_id: required(integer(1)),
  location_ids: required(list(1, integer(1))),
  container_config: required(
    record({
      replica_count: required(integer(1)),
      env_variables: optional(texts),
      secret_env_variables: optional(texts),
      entrypoint: optional(list(0, text)),
      args: optional(list(0, text)),
      traffic_port: optional(integer(1, 65_535)),
    }),
  ),
  registry_config: required(
    record({
      image_url: required(text),
      registry_username: optional(text),
      registry_secret: optional(text),
    }),
  ),
}
