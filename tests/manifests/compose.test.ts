/** The compose file, as far as that can be known without an engine: its shape, and that the gateway takes what it says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'
import { loadConfig, variables } from '../../src/config.ts'

const text = readFileSync(join(import.meta.dirname, '../../compose.yaml'), 'utf8')

/** The fields of the Compose specification that it uses, with the specification's types. */
const duration = z.string().regex(/^\d+(ms|s|m|h)$/)
const bytes = z.string().regex(/^\d+[bkmg]b?$/)
const healthcheck = z.strictObject({
  test: z.tuple([z.literal('CMD')], z.string()),
  interval: duration,
  timeout: duration,
  retries: z.int(),
})
const service = z.strictObject({
  build: z.string().optional(),
  image: z.string(),
  // Without an end to it the log fills the disk that the journal is on.
  logging: z.strictObject({
    driver: z.literal('local'),
    options: z.strictObject({ 'max-size': bytes, 'max-file': z.string().regex(/^\d+$/) }),
  }),
  command: z.array(z.string()).optional(),
  user: z.string().optional(),
  ports: z.array(z.string().regex(/^\d+:\d+$/)).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  volumes: z.array(z.string().regex(/^[\w-]+:\/[\w/]+$/)).optional(),
  read_only: z.boolean().optional(),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  mem_limit: bytes.optional(),
  shm_size: bytes.optional(),
  cpus: z.number().optional(),
  stop_grace_period: duration.optional(),
  restart: z.enum(['no', 'always', 'on-failure', 'unless-stopped']),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.literal('service_healthy') })).optional(),
  healthcheck: healthcheck.optional(),
})
const file = z.strictObject({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()) })
const compose = file.parse(parse(text))
const { gateway } = compose.services

test('what it waits for and what it mounts is there', () => {
  const { services, volumes } = compose
  for (const { depends_on: waits = {}, volumes: mounts = [], image, build } of Object.values(services)) {
    for (const name of Object.keys(waits)) expect(services[name]?.healthcheck).toBeDefined()
    for (const mount of mounts) expect(volumes).toHaveProperty(mount.split(':')[0]!)
    expect(image).toMatch(/:\d[\w.-]*$/)
    expect(build ?? '.').toBe('.')
  }
})

/** As `docker compose` puts variables in: `${NAME:-otherwise}`, and `${NAME:?or fail}`. */
function interpolated(env: Record<string, string>): Record<string, string> {
  const put = (value: string) =>
    value.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name: string, kind: string, rest: string) => {
      if (env[name]) return env[name]
      if (kind === '?') throw new Error(`${name}: ${rest}`)
      return rest
    })
  return Object.fromEntries(Object.entries(gateway!.environment!).map(([name, value]) => [name, put(value)]))
}

test('the gateway takes the environment it is given, and is not started without its secrets', () => {
  const names = Object.keys(gateway!.environment!)
  expect(names.filter((name) => !(name in variables) && name !== 'NODE_OPTIONS')).toEqual([])
  const env = interpolated({ DB_PASSWORD: 'x', JWT_SECRET: 'x'.repeat(32) })
  const config = loadConfig({ ...env, NODE_ENV: 'production' }, () => '')
  expect(config).toMatchObject({ DB_HOST: 'postgres', REDIS_HOST: 'redis' })
  expect(config).not.toHaveProperty('OPENAI_API_KEY')
  expect(() => interpolated({ DB_PASSWORD: 'x' })).toThrow('JWT_SECRET')
  const seconds = (duration: string) => Number.parseInt(duration, 10)
  const drainS = (config.DRAIN_DELAY + config.DRAIN_TIMEOUT) / 1000
  expect(seconds(gateway!.stop_grace_period!)).toBeGreaterThanOrEqual(drainS + 25)
})
