/** What the gateway would start with, without starting it. */
import { type Config, loadConfig, variables } from '../../../src/config.ts'
import { givenProviders } from '../providers.ts'
import { type RoutingFile, readRoutingFile } from '../routing-file.ts'
import type { Report } from './report.ts'

type Env = Record<string, string | undefined>

/** @throws ConfigError or RoutingError, one line that says what to do. */
export async function checkConfig(env: Env, config: Config): Promise<Report> {
  givenProviders(config)
  await readRouting(env, config)
  return { rows: [{ configuration: 'valid', node_env: config.NODE_ENV, routing_file: config.GATEWAY_CONFIG ?? null }] }
}

/** The routing file's table, where there is one. @throws ConfigError or RoutingError */
export async function readRouting(env: Env, config: Config): Promise<RoutingFile['table'] | undefined> {
  if (config.GATEWAY_CONFIG === undefined) return undefined
  const { providers, sandbox } = givenProviders(config)
  // Where the sandbox's are does not matter for a file that is only read.
  const played = sandbox.map((name) => [name, { baseUrl: 'http://localhost', apiKey: undefined }] as const)
  const known = { ...providers, ...Object.fromEntries(played) }
  return (await readRoutingFile({ path: config.GATEWAY_CONFIG, env, known })).table
}

/** Every variable with what is in force; of a secret only that it is set. */
export function printConfig(env: Env, config: Config): Report {
  const defaults: Record<string, unknown> = { ...loadConfig({}, () => '') }
  const values: Record<string, unknown> = { ...config }
  const rows = Object.entries(variables).map(([name, { secret }]) => {
    const value = values[name]
    const from = env[`${name}_FILE`] ? 'file' : env[name] ? 'environment' : name in defaults ? 'default' : 'unset'
    return {
      variable: name,
      value: value === undefined ? null : secret ? '(set, not shown)' : shown(name, value),
      from,
    }
  })
  return { name: 'configuration', rows }
}

/** As one would write it. */
function shown(name: string, value: unknown): string {
  const { allowed } = variables[name as keyof typeof variables]
  if (Array.isArray(value)) return value.join(',')
  if (typeof value !== 'number') return String(value)
  if (allowed.startsWith('a duration')) return value % 1_000 === 0 ? `${value / 1_000}s` : `${value}ms`
  return allowed.startsWith('an amount') ? String(value / 1e6) : String(value)
}
