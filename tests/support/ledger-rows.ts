/** Puts into the ledger what its reader then finds: what settles requests is another part's work. */
import type { Database } from '../../adapters/node/postgres/client.ts'
import { addSums } from '../../adapters/node/postgres/usage-entry.ts'
import { type MicroUsd, parseUsd } from '../../src/domain/money.ts'
import { type Receipt, startOf } from '../../src/domain/receipt.ts'
import { dayOf, type Transaction, type UsageRow } from '../../src/domain/statement.ts'

export interface LedgerRows {
  balance(accountId: string, money: { available: MicroUsd; held?: MicroUsd; leased?: MicroUsd }): Promise<unknown>
  entries(accountId: string, entries: readonly Omit<Transaction, 'note' | 'instanceId'>[]): Promise<unknown>
  usage(accountId: string, rows: readonly UsageRow[]): Promise<unknown>
  receipt(accountId: string, receipt: Receipt): Promise<unknown>
  spent(accountId: string, minute: number, amount: MicroUsd): Promise<unknown>
}

export function ledgerRows(database: Database): LedgerRows {
  const run = (statement: Parameters<Database['transaction']>[1]) => database.transaction('fill the ledger', statement)
  return {
    balance: (accountId, { available, held = 0, leased = 0 }) =>
      run(
        (sql) => sql`
        insert into balances (account_id, available, held, leased) values (${accountId}, ${available}, ${held}, ${leased})
        on conflict (account_id) do update set available = excluded.available, held = excluded.held,
          leased = excluded.leased`,
      ),
    entries: (accountId, entries) =>
      run(
        (sql) => sql`
        insert into ledger_entries (account_id, operation_id, kind, at, available, funding)
        select ${accountId}, "operationId", kind, at, amount, -amount
        from jsonb_to_recordset(${JSON.stringify(entries)}::text::jsonb)
          as rows ("operationId" uuid, kind text, at timestamptz, amount bigint)`,
      ),
    usage: (accountId, rows) =>
      run(async (sql) => {
        const uses = sql`uses as (
          select ${accountId}::uuid as account_id, day, "keyId" as key_id, model, requests, "inputTokens" as input_tokens,
            "cachedInputTokens" as cached_input_tokens, "outputTokens" as output_tokens, cost
          from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as rows (day date, "keyId" uuid, model text,
            requests bigint, "inputTokens" bigint, "cachedInputTokens" bigint, "outputTokens" bigint, cost bigint))`
        await sql`with ${uses} insert into usage_days
          (account_id, day, key_id, model, requests, input_tokens, cached_input_tokens, output_tokens, cost)
          select * from uses`
        await addSums(sql, uses)
      }),
    receipt: (accountId, receipt) =>
      run(
        (sql) => sql`
        insert into receipts (account_id, request_id, day, receipt)
        values (${accountId}, ${receipt.request_id}, ${dayOf(startOf(receipt.request_id)!)},
          ${JSON.stringify(keptOf(receipt))}::text::jsonb)`,
      ),
    spent: (accountId, minute, amount) =>
      run(
        (sql) => sql`insert into spend_minutes (account_id, minute, spent) values (${accountId}, ${minute}, ${amount})`,
      ),
  }
}

/** What the ledger keeps of it, from which `receiptOf` makes the same again. */
function keptOf(receipt: Receipt) {
  const {
    usage,
    phases_ms: ms,
    price,
    held,
    cost,
    endpoint,
    status,
    streamed,
    provider,
    tries,
    cache,
    limits,
  } = receipt
  const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  const rates = Object.entries(price).map(([name, rate]) => [camelCase(name), parseUsd(rate)])
  return {
    ...{ operationId: receipt.request_id, keyId: receipt.key_id, at: Date.parse(receipt.at), model: receipt.model },
    ...{ amount: parseUsd(cost), inputTokens: usage.input_tokens, cachedInputTokens: usage.cached_input_tokens },
    outputTokens: usage.output_tokens,
    facts: {
      ...{ endpoint, status, streamed, provider, tries, cache, limits, source: usage.source },
      ...{ totalMs: ms.total, providerMs: ms.provider, price: Object.fromEntries(rates), held: parseUsd(held) },
    },
  }
}

export const receiptOf = (requestId: string, own: Partial<Receipt> = {}): Receipt => ({
  request_id: requestId,
  at: '2026-11-25T12:00:00.000Z',
  key_id: '00000000-0000-7000-8000-000000000002',
  endpoint: 'chat/completions',
  status: 200,
  streamed: false,
  model: 'gpt-4o-mini',
  provider: 'openai',
  tries: [{ provider: 'openai', model: 'gpt-4o-mini', outcome: 'ok', reason: 'first in the plan', ms: 12.5 }],
  phases_ms: { total: 14.25, provider: 12.5 },
  usage: { input_tokens: 10, cached_input_tokens: 0, output_tokens: 5, source: 'provider' },
  price: { input_per_million: '0.15', output_per_million: '0.60' },
  held: '0.01',
  cost: '0.000005',
  currency: 'USD',
  cache: 'bypass',
  limits: {},
  ...own,
})

/** A UUID version 7 of that moment. */
export const idAt = (ms: number) => {
  const time = ms.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`
}
