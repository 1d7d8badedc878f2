/** The pages for people, driven in a real Chromium. What it looked like is kept in `.cache/screenshots`. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConsoleFiles } from '../../adapters/node/console-files.ts'
import { maxApiKeys } from '../../src/domain/principal.ts'
import { openPage, startBrowser, type Watched } from '../support/browser.ts'
import { startTestGateway, type TestGateway, testAccountId, testKey } from '../support/gateway.ts'

const screenshots = join(import.meta.dirname, '../../.cache/screenshots')
const breaker = 'openai:other'
const chat = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 5 }

let browser: Browser
let gateway: TestGateway
beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  ;[browser, gateway] = await Promise.all([
    startBrowser(),
    startTestGateway({
      env: { CIRCUIT_BREAKER_MIN_REQUESTS: '4', CIRCUIT_BREAKER_TIMEOUT: '10m', RETRY_MAX_ATTEMPTS: '1' },
      ports: { consoleFiles: readConsoleFiles() },
    }),
  ])
}, 300_000)
afterAll(async () => {
  await browser?.close()
  await gateway?.close()
})

const shot = ({ page }: Watched, name: string) =>
  page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })
async function signIn({ page }: Watched, path: string, key = testKey) {
  await page.goto(gateway.url + path)
  await page.getByLabel('…or an API key').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
}
const open = async ({ page }: Watched, name: string) => {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click()
  await page.getByRole('heading', { name, level: 1 }).waitFor()
}

describe('an operator', () => {
  let seen: Watched
  beforeAll(async () => {
    seen = await openPage(browser)
    await signIn(seen, '/admin')
    await seen.page.getByText('● live').waitFor()
  }, 60_000)

  test('sees how the pod is, live', async () => {
    const { page } = seen
    await gateway.post('/v1/chat/completions', chat)
    await page
      .locator('.tile', { hasText: 'Requests a second' })
      .getByText(/^[1-9\d]|0\.[1-9]/)
      .waitFor()
    await page.getByText('Reading and writing.').waitFor()
    await page.getByRole('cell', { name: 'openai' }).first().waitFor()
    await shot(seen, 'admin-overview')
  }, 60_000)

  test('watches a breaker open while its provider fails, and forces it closed', async () => {
    const { page } = seen
    await open(seen, 'Breakers')
    const row = page.getByRole('row', { name: new RegExp(breaker) })
    await row.getByText('closed', { exact: true }).first().waitFor()
    gateway.sandbox.openai.setFaults([{ kind: 'status', status: 503, probability: 1 }])
    for (let i = 0; i < 8; i++) await gateway.post('/v1/chat/completions', chat)
    await row.locator('.state.open').waitFor()
    await shot(seen, 'admin-breakers')
    await page.getByRole('button', { name: `Set ${breaker} to closed` }).click()
    await row.locator('.state.forced_closed').waitFor()
    const { breakers } = await (await gateway.get('/api/v1/admin/breakers')).json()
    expect(breakers.find(({ name }: { name: string }) => name === breaker).state).toBe('forced_closed')
    gateway.sandbox.openai.setFaults([])
  }, 60_000)

  test('follows a request to its receipt', async () => {
    const { page } = seen
    const answer = await gateway.post('/v1/chat/completions', chat)
    const id = answer.headers.get('x-request-id')!
    await open(seen, 'Requests')
    await page.getByLabel('Id, route, status, account, provider or code').fill(id)
    await page.getByRole('button', { name: 'Search' }).click()
    await page.getByRole('button', { name: `Show the receipt of ${id}` }).click()
    await page.getByText('openai gpt-4o-mini').waitFor()
    expect(await page.locator('.fall .bar').count()).toBe(2)
    await shot(seen, 'admin-receipt')
  }, 60_000)

  test('sees what all accounts spend, by day, account, model and key', async () => {
    const { page } = seen
    await gateway.post('/v1/chat/completions', chat)
    const groups = async () => (await (await gateway.get('/api/v1/admin/usage?group_by=model')).json()).usage
    await expect.poll(async () => (await groups()).length, { timeout: 20_000 }).toBeGreaterThan(0)
    await open(seen, 'Spending')
    await page
      .getByRole('row', { name: /gpt-4o-mini/ })
      .first()
      .waitFor()
    await page.getByRole('img', { name: 'Cost by day' }).waitFor()
    expect(await page.getByRole('row', { name: new RegExp(`${testAccountId}(?!/)`) }).count()).toBeGreaterThan(0)
    await shot(seen, 'admin-spending')
  }, 60_000)

  test('sees the machines of all accounts, and what such machines have cost', async () => {
    const { page } = seen
    const { offers } = await (await gateway.get('/api/v1/gpu/offers?gpu_model=RTX%204090&limit=1')).json()
    const order = { offer_id: offers[0].id, image: 'ubuntu:24.04', max_hours: 1 }
    await gateway.post('/api/v1/gpu/instances', order, { headers: { 'idempotency-key': crypto.randomUUID() } })
    await open(seen, 'GPUs')
    await page.getByRole('row', { name: new RegExp(testAccountId) }).waitFor()
    await page.getByRole('img', { name: /RTX 4090, the cheapest for one GPU and hour: / }).waitFor()
    await shot(seen, 'admin-gpus')
  }, 60_000)

  test('begins a fault and ends it', async () => {
    const { page } = seen
    await open(seen, 'Game day')
    await page.getByRole('button', { name: 'Begin' }).click()
    await page.getByRole('row', { name: /openai 429/ }).waitFor()
    await page.getByRole('button', { name: 'End all' }).click()
    await page.getByText('None.', { exact: true }).waitFor()
  }, 60_000)

  test('finds every page accessible, light and dark, and the browser has nothing to complain of', async () => {
    const { page } = seen
    const theme = () => page.evaluate('document.documentElement.dataset.theme')
    for (const expected of ['dark', 'light']) {
      await page.getByRole('button', { name: 'Theme' }).click()
      expect(await theme()).toBe(expected)
      for (const name of ['Overview', 'Breakers', 'Requests', 'Accounts', 'Spending', 'GPUs', 'Game day']) {
        await open(seen, name)
        await page.waitForLoadState('load')
        expect(await seen.inaccessible(), `${name}, ${expected}`).toEqual([])
      }
      for (const name of ['Spending', 'GPUs']) {
        await open(seen, name)
        await page.getByRole('img').first().waitFor()
        await shot(seen, `admin-${name.toLowerCase()}-${expected}`)
      }
      await open(seen, 'Overview')
      await page.getByText('● live').waitFor()
      await shot(seen, `admin-${expected}`)
    }
    expect(seen.complaints).toEqual([])
  }, 120_000)

  test('hears why a search failed, in whatever words', async () => {
    const { page } = seen
    await open(seen, 'Accounts')
    await page.route('**/api/v1/admin/accounts?*', (route) =>
      route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' }),
    )
    await page.getByRole('button', { name: 'Search' }).click()
    await page.locator('.note.bad', { hasText: 'The gateway answered 502.' }).waitFor()
    await page.unroute('**/api/v1/admin/accounts?*')
  }, 60_000)

  test('is told when it stays read-only for another reason than the switch', async () => {
    const { page } = seen
    await open(seen, 'Overview')
    await page.getByText('Reading and writing.').waitFor()
    await page.route('**/api/v1/admin/mode', (route) =>
      route.request().method() === 'PUT'
        ? route.fulfill({ json: { read_only: true, reason: 'primary_lost', since: null, stored: false } })
        : route.continue(),
    )
    await page.getByRole('button', { name: 'Make it read-only' }).click()
    const note = page.locator('.note', { hasText: 'Still read-only, and not by the switch: primary lost.' })
    await note.waitFor()
    expect(await note.innerText()).toContain('Only this pod knows')
    await page.unroute('**/api/v1/admin/mode')
  }, 60_000)

  test('is asked to sign in again after signing out', async () => {
    const { page } = seen
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Operators: sign in' }).waitFor()
    await page.reload()
    await page.getByRole('heading', { name: 'Operators: sign in' }).waitFor()
  }, 60_000)
})

describe('a browser that lacks something', () => {
  test('still shows what is live: over plain HTTP there is no randomUUID, and not every stream can be iterated over', async () => {
    const seen = await openPage(browser)
    await seen.page.addInitScript(
      'delete Crypto.prototype.randomUUID; delete ReadableStream.prototype[Symbol.asyncIterator]',
    )
    await signIn(seen, '/admin')
    await seen.page.getByText('Reading and writing.').waitFor()
    expect(seen.complaints).toEqual([])
  }, 60_000)
})

describe('a page that shows much', () => {
  const megabyte = 1024 * 1024

  test('holds less than 20 MB, with as many keys as an account may have and a page of requests', async () => {
    const many = await startTestGateway({ ports: { consoleFiles: readConsoleFiles() } })
    const made = async (n: number) =>
      (await many.post('/api/v1/auth/apikeys', { name: `key ${n}`, scopes: ['inference'] })).status
    for (let n = 0; n < maxApiKeys - 25; n += 25) {
      const statuses = await Promise.all(Array.from({ length: 25 }, (_, i) => made(n + i)))
      expect(new Set(statuses)).toEqual(new Set([201]))
    }
    for (let n = 0; n < 500; n += 50) await Promise.all(Array.from({ length: 50 }, () => many.get('/v1/models')))
    const { page } = await openPage(browser)
    await page.goto(`${many.url}/console`)
    await page.getByLabel('…or an API key').fill(testKey)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('cell', { name: 'key 24', exact: true }).waitFor()
    const devtools = await page.context().newCDPSession(page)
    const used = async () => {
      await devtools.send('HeapProfiler.collectGarbage')
      return (await devtools.send('Runtime.getHeapUsage')).usedSize / megabyte
    }
    expect(await used(), 'keys').toBeLessThan(20)
    await page.goto(`${many.url}/admin#requests`)
    await page
      .getByRole('button', { name: /^Show the receipt/ })
      .nth(90)
      .waitFor()
    expect(await used(), 'requests').toBeLessThan(20)
    await page.goto(`${many.url}/admin#overview`)
    await page.getByText('● live').waitFor()
    expect(await used(), 'overview').toBeLessThan(20)
    await many.close()
  }, 120_000)
})

describe('a customer', () => {
  const email = 'ada@example.com'
  const password = 'a long sentence of hers'
  let seen: Watched
  beforeAll(async () => {
    await gateway.post('/api/v1/auth/register', { email, password, name: 'Ada' })
    seen = await openPage(browser, { width: 390, height: 844 })
    await seen.page.goto(`${gateway.url}/console`)
    await seen.page.getByLabel('Email').fill(email)
    await seen.page.getByLabel('Password').fill(password)
    await seen.page.getByRole('button', { name: 'Sign in' }).click()
    await seen.page.getByRole('heading', { name: 'Keys', level: 1 }).waitFor()
  }, 60_000)

  test('makes a key that works, on a phone', async () => {
    const { page } = seen
    await page.getByLabel('Name of a new key').fill('ci')
    await page.getByRole('button', { name: 'Make a key' }).click()
    const key = await page.locator('[role=status] code').innerText()
    const answer = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
    expect(answer.status).toBe(200)
    expect(await page.getByRole('row', { name: /^ci / }).innerText(), 'it has no end').not.toMatch(/revoked/)
    await shot(seen, 'console-keys-phone')
  }, 60_000)

  test('is told of nothing that was not done, and keeps the key', async () => {
    const { page } = seen
    const revoke = page.getByRole('button', { name: 'Revoke ci' })
    page.once('dialog', (dialog) => void dialog.dismiss())
    await revoke.click()
    page.once('dialog', (dialog) => void dialog.accept())
    await revoke.click()
    await expect.poll(() => revoke.count()).toBe(0)
    await page.locator('.note', { hasText: 'Revoked' }).waitFor()
    expect(await page.locator('.note', { hasText: 'Revoked' }).count(), 'of two tries').toBe(1)
  }, 60_000)

  test('finds every page accessible, nothing wider than the phone, and nothing to complain of', async () => {
    const { page } = seen
    for (const name of ['Keys', 'Usage', 'Receipts', 'GPUs', 'Billing']) {
      await open(seen, name)
      await page.waitForLoadState('networkidle')
      expect(await seen.inaccessible(), name).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), name).toBeLessThanOrEqual(0)
      await shot(seen, `console-${name.toLowerCase()}-phone`)
    }
    expect(seen.complaints).toEqual([])
  }, 120_000)

  test('pays under one key until there is an answer, and hears how the payment stands', async () => {
    const { page } = seen
    await open(seen, 'Billing')
    const keys: (string | undefined)[] = []
    await page.route('**/api/v1/billing/payments', async (route) => {
      keys.push(route.request().headers()['idempotency-key'])
      const pay = page.getByRole('button', { name: 'Pay' })
      expect(await pay.isDisabled(), 'while one is under way').toBe(true)
      if (keys.length === 1) return route.abort()
      return route.fulfill({ status: 202, json: { status: 'requires_action' } })
    })
    await page.getByLabel('Amount, $').fill('10.00')
    await page.getByRole('button', { name: 'Pay' }).click()
    await page.locator('.note.bad').waitFor()
    await page.getByRole('button', { name: 'Pay' }).click()
    await page.getByText('requires_action').waitFor()
    expect(keys[1]).toBe(keys[0])
    await page.getByRole('button', { name: 'Pay' }).click()
    await expect.poll(() => keys.length).toBe(3)
    expect(keys[2], 'another payment').not.toBe(keys[0])
  }, 60_000)

  test('finds all machines, also those that are older than a page', async () => {
    const { page } = seen
    const machine = (id: string) => ({
      ...{ id, gpu_model: 'RTX 4090', gpu_count: 1, status: 'running', price_per_hour: 0.5, cost_so_far: 1 },
      created_at: '2026-01-01T00:00:00.000Z',
    })
    await page.route(/\/api\/v1\/gpu\/instances(\?|$)/, (route) =>
      route.fulfill({
        json: route.request().url().includes('cursor=of-new')
          ? { instances: [machine('old')] }
          : { instances: [machine('new')], next_cursor: 'of-new' },
      }),
    )
    await open(seen, 'GPUs')
    await page.getByRole('button', { name: 'More' }).click()
    await page.getByRole('button', { name: 'Destroy old' }).waitFor()
    expect(await page.getByRole('button', { name: 'Destroy new' }).count()).toBe(1)
    await page.unroute(/\/api\/v1\/gpu\/instances(\?|$)/)
  }, 60_000)

  test('is not told of what a page left behind was still asking', async () => {
    const { page } = seen
    let asked: () => void
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    await page.route('**/api/v1/gpu/offers?*', () => asked())
    await open(seen, 'Receipts')
    await open(seen, 'GPUs')
    await isAsked
    await open(seen, 'Receipts')
    await open(seen, 'Billing')
    await page.getByText('Held for what is under way').waitFor()
    expect(await page.locator('.note.bad', { hasText: /abort/ }).count()).toBe(0)
    await page.unroute('**/api/v1/gpu/offers?*')
  }, 60_000)

  test('rents at the price that is shown, and no dearer', async () => {
    const { page } = seen
    await open(seen, 'GPUs')
    const offer = {
      id: 'vastai:1',
      gpu_model: 'RTX 4090',
      gpu_count: 1,
      vram_gb: 24,
      location: 'DE',
      provider: 'vastai',
    }
    let price = 0.5
    await page.route('**/api/v1/gpu/offers?*', (route) =>
      route.fulfill({ json: { offers: [{ ...offer, price_per_hour: price }], providers: [] } }),
    )
    let order: unknown
    let state = 'unknown'
    await page.route('**/api/v1/gpu/instances', (route) => {
      if (route.request().method() !== 'POST') return route.continue()
      order = route.request().postDataJSON()
      return route.fulfill({ status: state === 'unknown' ? 202 : 201, json: { status: state } })
    })
    for (const dollars of [0.5, 0.75]) {
      price = dollars
      await page.getByRole('button', { name: 'Search' }).click()
      await page.getByRole('cell', { name: `$${dollars.toFixed(4)}` }).waitFor()
    }
    let asked = ''
    page.on('dialog', (dialog) => {
      asked = dialog.message()
      void dialog.accept()
    })
    await page.getByRole('button', { name: 'Rent an hour of vastai:1' }).click()
    await page.getByText('Whether it is rented is not known yet').waitFor()
    state = 'starting'
    await page.getByRole('button', { name: 'Rent an hour of vastai:1' }).click()
    await page.getByText('Rented.').waitFor()
    expect(asked).toContain('$0.7500')
    expect(order).toMatchObject({ offer_id: 'vastai:1', max_price: 0.75 })
  }, 60_000)
})

describe('whoever reads the reference', () => {
  test('finds it accessible, light and dark, and reaches all of it by the keyboard', async () => {
    for (const dark of [false, true]) {
      const seen = await openPage(browser, { dark })
      await seen.page.goto(`${gateway.url}/docs`)
      await seen.page.getByRole('heading', { level: 1 }).waitFor()
      expect(await seen.inaccessible(), dark ? 'dark' : 'light').toEqual([])
      expect(seen.complaints).toEqual([])
      // The first stop skips to the content or is a link of the contents; each stop can be seen.
      for (let stops = 0; stops < 5; stops++) {
        await seen.page.keyboard.press('Tab')
        const shown = await seen.page.evaluate(
          '(() => { const e = document.activeElement, s = getComputedStyle(e); return e !== document.body && (s.outlineStyle !== "none" || s.boxShadow !== "none") })()',
        )
        expect(shown, `stop ${stops}`).toBe(true)
      }
      await seen.page.screenshot({ path: join(screenshots, `docs-${dark ? 'dark' : 'light'}.png`) })
    }
  }, 120_000)
})

describe('a stranger', () => {
  test('is told that a key is not good', async () => {
    const seen = await openPage(browser)
    await signIn(seen, '/console', 'ak_live_0123456789abcdefghij')
    await seen.page.getByRole('alert').getByText('This API key is not valid here.').waitFor()
  }, 60_000)

  test('learns nothing from the page, and a cookie alone lets nobody in', async () => {
    const page = await fetch(`${gateway.url}/admin`)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(await page.text()).not.toMatch(/openai|breaker/)
    const cookie = `gpuproxy_session=${testKey}`
    const asked = (headers: Record<string, string>) =>
      fetch(`${gateway.url}/api/v1/admin/mode`, { headers: { cookie, ...headers } }).then(({ status }) => status)
    expect(await asked({})).toBe(401)
    expect(await asked({ 'x-gpuproxy-console': '1', 'sec-fetch-site': 'cross-site' })).toBe(401)
    expect(await asked({ 'x-gpuproxy-console': '1', 'sec-fetch-site': 'same-site' })).toBe(401)
    expect(await asked({ 'x-gpuproxy-console': '1', 'sec-fetch-site': 'same-origin' })).toBe(200)
  })

  test('is told when a password is wrong, and that no more', async () => {
    const { page } = await openPage(browser)
    await page.goto(`${gateway.url}/admin`)
    await page.getByLabel('Email').fill('nobody@example.com')
    await page.getByLabel('Password').fill('whatever it may be')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('.note.bad').waitFor()
  }, 60_000)
})
