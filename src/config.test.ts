import { describe, expect, it } from 'vitest'
import { loadConfig, maxReplicas, variables } from './config.ts'
import { ConfigError } from './variables.ts'

const noFiles = (path: string): string => {
  throw new Error(`no such file: ${path}`)
}
const load = (env: Record<string, string | undefined>, readFile = noFiles) => loadConfig(env, readFile)

function refusal(env: Record<string, string | undefined>, readFile = noFiles): string {
  try {
    load(env, readFile)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  return expect.fail('was not refused')
}

const production = { NODE_ENV: 'production', DB_HOST: 'db', JWT_SECRET: 'x'.repeat(32) }

describe('the configuration', () => {
  it('asks for as many pods as the spend cap pays for', () => {
    expect(maxReplicas(load({}))).toBe(Number.POSITIVE_INFINITY)
    expect(maxReplicas(load({ AUTOSCALER_SPEND_CAP_USD: '1000', AUTOSCALER_POD_USD: '49' }))).toBe(20)
    expect(refusal({ AUTOSCALER_SPEND_CAP_USD: '49' })).toContain('one pod')
  })

  it.each(['https://:canary@api.test', 'https://user:canary@api.test'])(
    'refuses a base URL with a credential, which would be printed with it: %s',
    (url) => {
      const message = refusal({ OPENAI_BASE_URL: url })
      expect(message).toContain('without credentials')
      expect(message).not.toContain('canary')
    },
  )

  it('has a default for everything that is required, and every default is allowed', () => {
    const config = load({})
    for (const [name, variable] of Object.entries(variables)) {
      expect(config[name as keyof typeof config] !== undefined, name).toBe(variable.default !== undefined)
    }
    expect(config).toMatchObject({ PORT: 8080, CIRCUIT_BREAKER_TIMEOUT: 30_000, RETRY_AFTER_MAX_WAIT: 3_000 })
  })

  it.each([
    ['PORT', '65535', 65_535],
    ['PORT', '0', 0],
    ['REQUEST_TIMEOUT', '250ms', 250],
    ['REQUEST_TIMEOUT', '1.5s', 1_500],
    ['REQUEST_TIMEOUT', '10m', 600_000],
    ['REQUEST_TIMEOUT', '24h', 86_400_000],
    ['RETRY_BUDGET_RATIO', '0', 0],
    ['CIRCUIT_BREAKER_FAILURE_THRESHOLD', '1', 1],
    ['DB_PGBOUNCER', 'true', true],
    ['SIGNUP_CREDIT_USD', '0.000001', 1],
    ['SIGNUP_CREDIT_USD', '2.50', 2_500_000],
    ['OPENAI_BASE_URL', 'https://api.test/v1//', 'https://api.test/v1'],
    ['DATABASE_URL', 'postgresql://u:p@h/db', 'postgresql://u:p@h/db'],
    ['DB_HOST', '/var/run/postgresql', '/var/run/postgresql'],
    ['DB_HOST', 'fe80::1:9', 'fe80::1:9'],
    ['DB_HOST', 'a, b:65535', 'a, b:65535'],
    ['REDIS_HOST', 'redis-1.cache_2', 'redis-1.cache_2'],
    ['REDIS_HOST', 'fe80::1', 'fe80::1'],
  ] as const)('reads %s=%s', (name, text, value) => {
    expect(load({ [name]: text })[name]).toBe(value)
  })

  it.each([
    ['PORT', '65536', 'an integer from 0 to 65535'],
    ['PORT', '80.5', 'an integer'],
    ['PORT', '-1', 'an integer'],
    ['PORT', '0x50', 'an integer'],
    ['PORT', ' 80', 'an integer'],
    ['PORT', '99999999999999999999999', 'an integer'],
    ['RETRY_MAX_ATTEMPTS', '0', 'an integer from 1 to 10'],
    ['RETRY_BUDGET_RATIO', '1.01', 'a number from 0 to 1'],
    ['RETRY_BUDGET_RATIO', 'NaN', 'a number'],
    ['RETRY_BUDGET_RATIO', '1e-1', 'a number'],
    ['REQUEST_TIMEOUT', '30', 'a duration such as'],
    ['REQUEST_TIMEOUT', '30 s', 'a duration such as'],
    ['REQUEST_TIMEOUT', '-1s', 'a duration such as'],
    ['REQUEST_TIMEOUT', '0s', 'at least 1ms'],
    ['REQUEST_TIMEOUT', '597h', 'a duration such as'],
    ['SIGNUP_CREDIT_USD', '-1', 'an amount such as'],
    ['SIGNUP_CREDIT_USD', '0.0000001', 'an amount such as'],
    ['SIGNUP_CREDIT_USD', '1e3', 'an amount such as'],
    ['TRUSTED_PROXY_HOPS', '11', 'an integer from 0 to 10'],
    ['REGISTRATION', 'invite', 'one of open, closed'],
    ['JWT_EXPIRATION', '24', 'a duration such as'],
    ['LOG_LEVEL', 'verbose', 'one of debug, info, warn, error'],
    ['DB_PGBOUNCER', 'yes', 'true or false'],
    ['DB_HOST', 'a:5432,b:54320000', 'host:port'],
    ['DB_READ_REPLICAS', 'b:65536', 'host:port'],
    ['REDIS_NODES', 'a:6379,b:99999', 'host:port'],
    ['REDIS_HOST', 'redis:6380', 'a host without a port'],
    ['REDIS_HOST', 'redis://redis', 'a host without a port'],
    ['REDIS_HOST', 'redis/1', 'a host without a port'],
    ['OPENAI_BASE_URL', 'api.test', 'http:// or https://'],
    ['OPENAI_BASE_URL', 'ftp://api.test', 'http:// or https://'],
    ['OPENAI_BASE_URL', 'https://api.test/?a=1', 'without a query'],
    ['OPENAI_BASE_URL', 'https://api.test/v1#a', 'without a query'],
  ])('refuses %s=%s, naming the variable, the value and what is allowed', (name, value, allowed) => {
    const message = refusal({ [name]: value })
    expect(message.startsWith(`${name}=${value} is not allowed: it must be `)).toBe(true)
    expect(message).toContain(allowed)
    expect(message).not.toContain('\n')
  })

  it('never shows a secret, however bad it is', () => {
    for (const [name, variable] of Object.entries(variables)) {
      if (!variable.secret) continue
      const canary = `canary ${'x'.repeat(2_000)}`
      const message = refusal({ [name]: canary })
      expect(message, name).not.toContain('canary')
      expect(message).toContain(`${name}=(2007 characters, not shown)`)
      expect(refusal({ [`${name}_FILE`]: '/run/secret' }, () => canary)).not.toContain('canary')
    }
  })

  it.each(['redis://:canary/1@h:6379', 'redis://:canary#1@h:6379', 'rediss://:canary%zz@h', 'redis://h:canary'])(
    'refuses %s, which is no URL: its reader would tell it whole',
    (url) => {
      const message = refusal({ REDIS_URL: url })
      expect(message).toContain('percent-encoded')
      expect(message).not.toContain('canary')
    },
  )

  it.each([
    ...['postgres://u:canary/1@h:5432/db', 'postgres://u:canary#1@h/db', 'postgres://u:1#canary@h/db'],
    ...['postgres://u:canary%zz@h/db', 'postgres://u:canary@h:port/db', 'postgresql://u:canary/1@h1:5432,h2/db'],
    ...['postgresql://u:canary?1@h/db', 'postgres://u:canary@a:5432,b:543200/db'],
  ])('refuses %s: the database would be said not to be reached', (url) => {
    const message = refusal({ DATABASE_URL: url })
    expect(message).toContain('percent-encoded')
    expect(message).not.toContain('canary')
  })

  it.each([
    ...['postgres://u:p%2Fss,word@h:5432/db?sslmode=require', 'postgres://u:p,w@h1:5432,h2:5433/db?options=a,b'],
    ...['postgres://h/db', 'postgres:///db', 'postgres:///db?host=/var/run/postgresql', 'postgres://a,b'],
    ...['postgres://u:p@[::1]:5432,[::2]/db', 'postgres://u@%2Fvar%2Frun%2Fpostgresql/db'],
  ])('takes DATABASE_URL=%s', (url) => {
    expect(load({ DATABASE_URL: url }).DATABASE_URL).toBe(url)
  })

  it('takes a REDIS_URL with a password, a user and a database', () => {
    const url = 'rediss://someone:p%2Fss@h:6380/2'
    expect(load({ REDIS_URL: url }).REDIS_URL).toBe(url)
  })

  it('takes every variable whose name says so for a secret', () => {
    for (const [name, { secret }] of Object.entries(variables)) {
      if (/(KEY|SECRET|TOKEN|PASSWORD|PEPPER|DATABASE_URL)$/.test(name)) expect(secret, name).toBe(true)
    }
  })

  it.each(['JWT_SECRET', 'JWT_SECRET_PREVIOUS'])('refuses a %s of fewer than 32 bytes', (name) => {
    expect(refusal({ [name]: 'x'.repeat(31) })).toContain('32 to 1000 printable characters')
    expect(load({ [name]: 'x'.repeat(32) })).toMatchObject({ [name]: 'x'.repeat(32) })
  })

  it('refuses a secret that was copied from a guide and never filled in', () => {
    for (const [name, { secret }] of Object.entries(variables)) {
      if (!secret || name.endsWith('_URL')) continue
      expect(refusal({ [name]: '<generate-32-char-random-string>' }), name).toContain('no placeholder')
    }
  })

  it('refuses access tokens that outlive their session', () => {
    expect(refusal({ JWT_EXPIRATION: '2h', REFRESH_EXPIRATION: '1h' })).toMatch(/^JWT_EXPIRATION must not be longer/)
    expect(load({ JWT_EXPIRATION: '1h', REFRESH_EXPIRATION: '1h' }).JWT_EXPIRATION).toBe(3_600_000)
  })

  it('takes an empty value for an unset one', () => {
    expect(load({ PORT: '', OPENAI_API_KEY: '', REQUEST_TIMEOUT_FILE: '' })).toEqual(load({}))
  })

  it('reads NAME_FILE, without the newline at its end', () => {
    const files: Record<string, string> = { '/port': '81\n', '/key': 'sk-file\r\n', '/empty': '\n' }
    const config = load(
      { PORT_FILE: '/port', OPENAI_API_KEY_FILE: '/key', METRICS_TOKEN_FILE: '/empty' },
      (path) => files[path]!,
    )
    expect(config).toMatchObject({ PORT: 81, OPENAI_API_KEY: 'sk-file' })
    expect(config.METRICS_TOKEN).toBeUndefined()
  })

  it('refuses a file that cannot be read, and a variable given in both ways', () => {
    expect(refusal({ JWT_SECRET_FILE: '/none' })).toBe('JWT_SECRET_FILE=/none cannot be read')
    const both = refusal({ JWT_SECRET: 'canary', JWT_SECRET_FILE: '/key' }, () => 'canary')
    expect(both).toBe('JWT_SECRET and JWT_SECRET_FILE are both set: set one of them')
  })
})

describe('in production', () => {
  it('a database and a signing secret are enough', () => {
    expect(load(production).NODE_ENV).toBe('production')
    expect(load({ ...production, DB_HOST: '', DATABASE_URL: 'postgres://h/db' }).DB_HOST).toBeUndefined()
  })

  it.each([
    [{ DB_HOST: '' }, 'DATABASE_URL or DB_HOST must be set when NODE_ENV=production'],
    [{ JWT_SECRET: '' }, 'JWT_SECRET must be set when NODE_ENV=production'],
    [{ BOOTSTRAP_API_KEY: 'canary'.repeat(10) }, 'BOOTSTRAP_API_KEY must not be set when NODE_ENV=production'],
  ])('%o is refused', (env, message) => {
    expect(refusal({ ...production, ...env })).toContain(message)
    expect(refusal({ ...production, ...env })).not.toContain('canary')
    expect(load({ ...production, ...env, NODE_ENV: 'development' }).NODE_ENV).toBe('development')
  })
})
