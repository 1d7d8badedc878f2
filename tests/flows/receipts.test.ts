import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Scope } from '../../src/domain/principal.ts'
import { startTestGateway, type TestGateway, testAccountId, testKeyId } from '../support/gateway.ts'
import { idAt, receiptOf } from '../support/ledger-rows.ts'

let gateway: TestGateway
const folder = mkdtempSync(join(tmpdir(), 'receipt-'))
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await gateway.close()
})

const old = Date.parse('2026-11-20T12:00:00Z')
const keep = (requestId: string, own = {}, accountId = testAccountId) => {
  gateway.books.of(accountId).receipts.push(receiptOf(requestId, { key_id: testKeyId, ...own }))
  return requestId
}
const find = async (requestId: string, headers?: Record<string, string>) => {
  const response = await gateway.get(`/api/v1/receipts/${requestId}`, headers && { headers })
  return {
    status: response.status,
    json: (await response.json()) as ReturnType<typeof receiptOf> & { signature: object },
  }
}
function keyWith(scopes: readonly Scope[]) {
  const key = `ak_live_${randomUUID().replaceAll('-', '')}`
  const [keyId, role] = [randomUUID(), 'user' as const]
  gateway.accounts.add(key, { accountId: testAccountId, keyId, role, scopes, limits: { key: {}, account: {} } })
  return { keyId, as: { authorization: `Bearer ${key}` } }
}

/** The script of the documentation, as it stands there. */
const script = /```js\n([\s\S]*?)```/.exec(
  readFileSync(join(import.meta.dirname, '../../docs/receipts.md'), 'utf8'),
)![1]!
async function verify(receipt: object): Promise<string> {
  const files = { script: join(folder, 'verify.mjs'), receipt: join(folder, 'receipt.json') }
  writeFileSync(files.script, script)
  writeFileSync(files.receipt, JSON.stringify(receipt))
  const run = promisify(execFile)(process.execPath, [files.script, gateway.url, files.receipt])
  return (await run.catch((error: { stdout: string }) => error)).stdout.trim()
}

test('a receipt is signed, and the documented script says so; a changed one it calls not valid', async () => {
  const { status, json } = await find(
    keep(idAt(old), { model: 'a "model" ✓', phases_ms: { total: 0.1, overhead: 1e-7 } }),
  )
  expect(status).toBe(200)
  expect(json.signature).toMatchObject({ algorithm: 'Ed25519', key_id: expect.any(String), value: expect.any(String) })
  expect(await verify(json)).toBe('valid')
  // As another program would write it.
  expect(await verify(Object.fromEntries(Object.entries(json).reverse()))).toBe('valid')
  expect(await verify({ ...json, cost: '0.01' })).toBe('NOT VALID')
  expect(await verify({ ...json, usage: { ...json.usage, output_tokens: 6 } })).toBe('NOT VALID')
})

test('the public key is for everybody, and holds no private part', async () => {
  const response = await fetch(`${gateway.url}/api/v1/receipts/keys`)
  expect(response.status).toBe(200)
  const { keys } = (await response.json()) as { keys: object[] }
  expect(keys).toEqual([
    { kty: 'OKP', crv: 'Ed25519', x: expect.any(String), kid: expect.any(String), alg: 'EdDSA', use: 'sig' },
  ])
})

test("another account's receipt and one that is not there are the same 404", async () => {
  const other = keep(idAt(old), {}, randomUUID())
  for (const id of [other, idAt(old), randomUUID(), 'x', '..%2f..', "'%20or%20true--"]) {
    const { status, json } = await find(id)
    expect({ id, status, json }).toMatchObject({ id, status: 404, json: { code: 'receipt_not_found' } })
  }
})

test('a key for inference alone reads the receipts of its own requests, and no others', async () => {
  const own = keyWith(['inference'])
  expect((await find(keep(idAt(old), { key_id: own.keyId }), own.as)).status).toBe(200)
  expect((await find(keep(idAt(old)), own.as)).status).toBe(404)
  expect((await find(keep(idAt(old)), keyWith(['billing']).as)).status).toBe(200)
  expect((await find(keep(idAt(old)), keyWith(['gpu']).as)).status).toBe(403)
})

test('one that is settled a moment later is waited for', async () => {
  const requestId = idAt(Date.now())
  const asked = find(requestId)
  const { statements } = gateway.books
  const { receipt } = statements
  const { promise: looked, resolve } = Promise.withResolvers<void>()
  statements.receipt = (...args) => receipt(...args).finally(resolve)
  await looked
  keep(requestId)
  expect(await asked).toMatchObject({ status: 200, json: { request_id: requestId } })
  statements.receipt = receipt
})
