/**
 * Kinds of environment variables, and how a table of them is read. `config.ts` has the gateway's, `edge/config.ts` the
 * edge's.
 */
import * as z from 'zod'

export interface Variable<T> {
  schema: z.ZodType<T, string>
  /** What is allowed, in words, for the one-line error and the docs. */
  allowed: string
  /** As one would write it in the environment; undefined = unset. */
  default: string | undefined
  meaning: string
  secret: boolean
}

export interface Kind<T> {
  schema: z.ZodType<T, string>
  allowed: string
  secret?: boolean
}

export const integer = (min: number, max: number): Kind<number> => ({
  schema: z.string().regex(/^\d+$/).transform(Number).pipe(z.number().min(min).max(max)),
  allowed: `an integer from ${min} to ${max}`,
})
export const decimal = (min: number, max: number): Kind<number> => ({
  schema: z
    .string()
    .regex(/^\d+(\.\d+)?$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max)),
  allowed: `a number from ${min} to ${max}`,
})
/** As micro-dollars. */
export const money: Kind<number> = {
  schema: z
    .string()
    .regex(/^\d{1,9}(\.\d{1,6})?$/)
    .transform((text) => Math.round(Number(text) * 1e6)),
  allowed: 'an amount such as 5 or 0.50, below a billion',
}
export const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
export const duration = (minMs = 0): Kind<number> => ({
  schema: z
    .string()
    .regex(/^\d+(\.\d+)?(ms|s|m|h)$/)
    .transform((text) => {
      const unit = text.replace(/^[\d.]+/, '') as keyof typeof unitMs
      return Number(text.slice(0, -unit.length)) * unitMs[unit]
    })
    // A timer longer than 2^31 ms would fire at once.
    .pipe(z.number().min(minMs).max(2_147_483_647)),
  allowed: `a duration such as 250ms, 3s, 10m or 24h${minMs > 0 ? `, at least ${minMs}ms` : ''}`,
})
export const oneOf = <const T extends readonly [string, ...string[]]>(...values: T): Kind<T[number]> => ({
  schema: z.enum(values) as unknown as z.ZodType<T[number], string>,
  allowed: `one of ${values.join(', ')}`,
})
export const flag: Kind<boolean> = {
  schema: z.enum(['true', 'false']).transform((text) => text === 'true') as unknown as z.ZodType<boolean, string>,
  allowed: 'true or false',
}
export const text: Kind<string> = { schema: z.string().min(1), allowed: 'some text' }
export const url: Kind<string> = {
  schema: z
    .string()
    .refine((value) => {
      const { protocol, search, hash, username, password } = URL.parse(value) ?? { protocol: '' }
      return /^https?:$/.test(protocol) && !search && !hash && !username && !password
    })
    .transform((value) => value.replace(/(?<!\/)\/+$/, '')),
  allowed: 'an http:// or https:// URL without a query and without credentials',
}
const encoded = 'signs such as / # ? and % in its password percent-encoded'
export const postgresUrl: Kind<string> = {
  schema: z
    .string()
    .regex(/^postgres(ql)?:\/\//)
    .refine((value) => {
      // Of several hosts the first: a list of them is no URL to any other reader.
      const names = /^\w+:\/\/(?:[^@/]*@)?([^/?]*)/.exec(value)?.[1]?.split(',') ?? []
      return havePorts(names) && isDecodable(URL.parse(value.replace(names.join(','), names[0] ?? '')))
    }),
  allowed: `a URL beginning with postgres://, ${encoded}`,
  secret: true,
}
export const redisUrl: Kind<string> = {
  schema: z
    .string()
    .regex(/^rediss?:\/\//)
    .refine((value) => isDecodable(URL.parse(value))),
  allowed: `a URL beginning with redis:// or rediss://, ${encoded}`,
  secret: true,
}
/** Whoever reads a URL that is none tells of it with all that it holds, or of a server that cannot be reached. */
function isDecodable(url: URL | null): boolean {
  // What would be behind a `#` is the rest of a password.
  if (url === null || url.hash !== '') return false
  try {
    for (const part of [url.username, url.password, url.hostname, url.pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}
/** Of a larger one Node throws where nobody waits for the connection, and that ends the process. */
const havePorts = (names: string[]) => names.every((name) => Number(/:(\d+)$/.exec(name)?.[1] ?? 0) <= 65_535)
const namesIn = (text: string) => text.split(',').map((name) => name.trim())
export const hosts: Kind<string[]> = {
  schema: z
    .string()
    .transform(namesIn)
    .refine(havePorts)
    .pipe(z.array(z.string().regex(/^[\w.-]+(:\d{1,5})?$/)).max(32)) as unknown as z.ZodType<string[], string>,
  allowed: 'host:port,… (at most 32)',
}
/** Or the folder of a Unix socket. */
export const databaseHost: Kind<string> = {
  schema: z.string().refine((text) => havePorts(namesIn(text))),
  allowed: 'a host, or host:port,…',
}
/** It is put into a URL, with the password: the reader of one that is none tells of all of it. */
export const bareHost: Kind<string> = {
  schema: z.string().refine((text) => /^[\w.-]+$/.test(text) || URL.parse(`http://[${text}]`) !== null),
  allowed: 'a host without a port',
}
/** `<generate-32-char-random-string>` is 32 characters, and known to everybody. */
const placeholder = /^<.*>$/
export const secret = (minLength: number, maxLength = 1000): Kind<string> => ({
  schema: z
    .string()
    .min(minLength)
    .max(maxLength)
    .regex(/^[\x21-\x7e]+$/)
    .refine((value) => !placeholder.test(value)),
  allowed: `${minLength} to ${maxLength} printable characters without spaces, and no placeholder in angle brackets`,
  secret: true,
})

/** As a browser names a page's: scheme, host and port. */
export const originList = (allowed: string): Kind<string[]> => ({
  schema: z
    .string()
    .transform((text) => text.split(',').map((each) => each.trim()))
    .refine((all) => all.every((each) => URL.parse(each)?.origin === each && /^https?:/.test(each))),
  allowed,
})

export const pageOrigins = originList('origins such as https://app.example.com, separated by commas')

export const required = <T>(kind: Kind<T>, byDefault: string, meaning: string): Variable<T> => ({
  ...kind,
  secret: kind.secret ?? false,
  default: byDefault,
  meaning,
})
export const optional = <T>(kind: Kind<T>, meaning: string): Variable<T | undefined> => ({
  ...kind,
  secret: kind.secret ?? false,
  default: undefined,
  meaning,
})

export type Values<T> = { [K in keyof T]: T[K] extends Variable<infer V> ? V : never }

/** One line: which variable, its value (never a secret's), and what is allowed. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

export function valuesOf<T extends Record<string, Variable<unknown>>>(
  table: T,
  given: (name: string) => string | undefined,
): Values<T> {
  const config: Record<string, unknown> = {}
  for (const [name, variable] of Object.entries(table)) {
    const value = given(name) ?? variable.default
    if (value === undefined) continue
    const result = variable.schema.safeParse(value)
    if (!result.success) {
      const shown = variable.secret || value.includes('@') ? `(${value.length} characters, not shown)` : value
      throw new ConfigError(`${name}=${shown} is not allowed: it must be ${variable.allowed}`)
    }
    config[name] = result.data
  }
  return config as Values<T>
}
