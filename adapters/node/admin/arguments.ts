/** The words behind a command: places in their order, and options. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { CommandError } from './report.ts'

export type Options = NonNullable<ParseArgsConfig['options']>

export interface Arguments {
  /** @throws CommandError where it is not given. */
  place(index: number, name: string): string
  option(name: string): string | undefined
  /** @throws CommandError where it is not given. */
  required(name: string): string
  has(name: string): boolean
}

const common: Options = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } }

/** @throws CommandError that names what is not known. */
export function readArguments(words: readonly string[], options: Options, places: number): Arguments {
  const { values, positionals } = parse(words, { ...common, ...options })
  if (positionals.length > places) throw new CommandError(`too much: ${positionals.slice(places).join(' ')}`, 2)
  const option = (name: string) => values[name] as string | undefined
  return {
    option,
    place: (index, name) => positionals[index] ?? missing(name),
    required: (name) => option(name) ?? missing(`--${name}`),
    has: (name) => values[name] === true,
  }
}

function parse(words: readonly string[], options: Options) {
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true })
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error), 2)
  }
}

const missing = (name: string): never => {
  throw new CommandError(`${name} is missing`, 2)
}

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

/** @throws CommandError where it is no id. */
export function idOf(text: string, what: string): string {
  if (!uuid.test(text))
    throw new CommandError(`${what} ${text} is no id, as in 00000000-0000-7000-8000-000000000001`, 2)
  return text.toLowerCase()
}

/** A number from 1 to `max`, or null for `none`; undefined where it is not given. */
export function limitOf(args: Arguments, name: string, max = 1_000_000_000): number | null | undefined {
  const text = args.option(name)
  if (text === undefined) return undefined
  if (text === 'none') return null
  if (!/^[1-9]\d{0,12}$/.test(text) || Number(text) > max) {
    throw new CommandError(`--${name}=${text} must be a number from 1 to ${max}, or none`, 2)
  }
  return Number(text)
}

/** As over HTTP, also in length; undefined where it is not given. */
export function nameOf(args: Arguments): string | undefined {
  const name = args.option('name')?.trim()
  if (name !== undefined && !/^\P{Cc}{1,100}$/u.test(name)) {
    throw new CommandError('--name must be 1 to 100 characters, none of them a control character', 2)
  }
  return name
}
