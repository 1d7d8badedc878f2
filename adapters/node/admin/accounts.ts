/** Accounts, their keys and their limits. */

import { formatUsd } from '../../../src/domain/money.ts'
import { type LimitSettings, type Scope, scopes } from '../../../src/domain/principal.ts'
import { normalisedEmail, type User } from '../../../src/domain/user.ts'
import type { ApiKey } from '../../../src/ports.ts'
import type { Storage } from '../storage.ts'
import { type Arguments, idOf, limitOf, nameOf } from './arguments.ts'
import { type Command, limitOptions } from './command.ts'
import { CommandError, type Row } from './report.ts'

export const accountCommands: Command[] = [
  {
    words: ['accounts', 'list'],
    usage: '[--email START] [--limit N] [--before ID]',
    does: 'accounts, the newest first; those whose email begins so',
    options: { email: { type: 'string' }, limit: { type: 'string' }, before: { type: 'string' } },
    async run({ users }, args) {
      const limit = Math.min(limitOf(args, 'limit') ?? 50, 1_000)
      const [email, before] = [args.option('email'), args.option('before')]
      const found = await users.list({
        limit,
        ...(email !== undefined && { email: normalisedEmail(email) }),
        ...(before !== undefined && { before: idOf(before, '--before') }),
      })
      const last = found.length < limit ? undefined : found.at(-1)
      return { name: 'accounts', rows: found.map(accountRow), note: last && `more: --before ${last.accountId}` }
    },
  },
  {
    words: ['accounts', 'show'],
    usage: 'ACCOUNT',
    does: 'one account, its limits and its balance',
    places: 1,
    async run(storage, args) {
      const account = await findAccount(storage, args)
      const { available, held } = await storage.statements.balance(account.accountId)
      const { shadow } = await storage.guardrails.state(account.accountId)
      const money = { available: formatUsd(available), held: formatUsd(held), currency: 'USD' }
      return { rows: [{ ...accountRow(account), ...limitsRow(account.limits), ...money, guardrails_shadow: shadow }] }
    },
  },
  ...[true, false].map(
    (disabled): Command => ({
      words: ['accounts', disabled ? 'disable' : 'enable'],
      usage: 'ACCOUNT',
      does: disabled ? 'its keys stop working, within 5 s on every pod' : 'its keys work again',
      places: 1,
      async run(storage, args) {
        const { accountId } = await findAccount(storage, args)
        return { rows: [accountRow(orGone(await storage.users.update(accountId, { disabled })))] }
      },
    }),
  ),
  {
    words: ['keys', 'list'],
    usage: 'ACCOUNT',
    does: 'its API keys that were not revoked, the newest first',
    places: 1,
    async run(storage, args) {
      const { accountId } = await findAccount(storage, args)
      return { name: 'keys', rows: (await storage.accounts.listApiKeys(accountId)).map(keyRow) }
    },
  },
  {
    words: ['keys', 'create'],
    usage: `ACCOUNT --name NAME [--scopes ${scopes.join(',')}] [--expires DATE] [limits]`,
    does: 'makes an API key and tells it, once; its scope is inference unless it is said',
    places: 1,
    options: { name: { type: 'string' }, scopes: { type: 'string' }, expires: { type: 'string' }, ...limitOptions },
    async run(storage, args) {
      const [name, expiresAt] = [nameOf(args) ?? args.required('name'), dateOf(args)]
      const key = { name, scopes: scopesIn(args), limits: withoutNull(limitsIn(args)), expiresAt }
      const { accountId } = await findAccount(storage, args)
      const made = await storage.accounts.createApiKey(accountId, key)
      return { rows: [{ ...keyRow(made), api_key: made.apiKey }], note: onceNote }
    },
  },
  {
    words: ['keys', 'revoke'],
    usage: 'ACCOUNT KEY',
    does: 'the key stops working, within 5 s on every pod',
    places: 2,
    async run(storage, args) {
      const keyId = idOf(args.place(1, 'KEY'), 'KEY')
      const { accountId } = await findAccount(storage, args)
      const revoked = await storage.accounts.revokeApiKey(accountId, keyId)
      if (!revoked) throw new CommandError(`account ${accountId} has no key ${keyId} that works`)
      return { rows: [{ account: accountId, key: keyId, revoked }] }
    },
  },
  {
    words: ['limits'],
    usage: 'ACCOUNT [limits]',
    does: 'an account’s limits over all its keys; sets those that are given, `none` lifts one',
    places: 1,
    options: limitOptions,
    async run(storage, args) {
      const limits = limitsIn(args)
      const account = await findAccount(storage, args)
      const isSet = Object.values(limits).some((limit) => limit !== undefined)
      const shown = isSet ? orGone(await storage.users.update(account.accountId, { limits })) : account
      return { rows: [{ account: shown.accountId, ...limitsRow(shown.limits) }] }
    },
  },
]

const onceNote = 'The key is shown this once. Keep it.'

/** The account that the first place names. */
export async function findAccount({ users }: Storage, args: Arguments): Promise<User> {
  const accountId = idOf(args.place(0, 'ACCOUNT'), 'ACCOUNT')
  const account = await users.find(accountId)
  if (!account) throw new CommandError(`there is no account ${accountId}`)
  return account
}

function orGone(account: User | undefined): User {
  if (!account) throw new CommandError('the account is gone')
  return account
}

const limitsIn = (args: Arguments) => ({
  requestsPerMinute: limitOf(args, 'requests-per-minute'),
  tokensPerMinute: limitOf(args, 'tokens-per-minute', 1_000_000_000_000),
  maxConcurrent: limitOf(args, 'max-concurrent'),
})

const withoutNull = (limits: ReturnType<typeof limitsIn>) => ({
  requestsPerMinute: limits.requestsPerMinute ?? undefined,
  tokensPerMinute: limits.tokensPerMinute ?? undefined,
  maxConcurrent: limits.maxConcurrent ?? undefined,
})

function scopesIn(args: Arguments): Scope[] {
  const given = (args.option('scopes') ?? 'inference').split(',')
  const unknown = given.find((scope) => !scopes.includes(scope as Scope))
  if (unknown !== undefined) throw new CommandError(`--scopes: ${unknown} is none of ${scopes.join(', ')}`, 2)
  return scopes.filter((scope) => given.includes(scope))
}

function dateOf(args: Arguments): Date | undefined {
  const text = args.option('expires')
  if (text === undefined) return undefined
  const date = new Date(text)
  if (!(date.getTime() > Date.now())) throw new CommandError(`--expires=${text} must be a date to come`, 2)
  return date
}

const accountRow = ({ accountId, email, name, role, createdAt, disabledAt }: User): Row => ({
  account: accountId,
  email: email ?? null,
  name,
  role,
  created: createdAt.toISOString(),
  disabled: disabledAt?.toISOString() ?? null,
})

const limitsRow = ({ requestsPerMinute, tokensPerMinute, maxConcurrent }: LimitSettings): Row => ({
  requests_per_minute: requestsPerMinute ?? null,
  tokens_per_minute: tokensPerMinute ?? null,
  max_concurrent: maxConcurrent ?? null,
})

const keyRow = (key: ApiKey): Row => ({
  key: key.id,
  name: key.name,
  prefix: key.prefix,
  scopes: key.scopes,
  ...limitsRow(key.limits),
  created: key.createdAt.toISOString(),
  expires: key.expiresAt?.toISOString() ?? null,
  last_used: key.lastUsedAt?.toISOString() ?? null,
})
