import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createCache } from '../cache/cache.ts'
import { createMemoryTier } from '../cache/memory-tier.ts'
import type { Model } from '../providers/openai.ts'
import { createModels } from './models.ts'
import type { Router } from './router.ts'

it('takes no list of a provider for that of another one, which a later table has under its name', async () => {
  let baseUrl = 'https://one.test/v1'
  const loaded: string[] = []
  const provider = {
    name: 'main',
    models: async (): Promise<Model[]> => {
      loaded.push(baseUrl)
      return [{ id: `of ${baseUrl}`, object: 'model', created: 0, owned_by: 'main' }]
    },
  }
  const router = {
    table: () => ({ providers: new Map([['main', { name: 'main', baseUrl }]]), models: new Map() }),
    openProviders: () => [provider],
  } as unknown as Router
  const cache = createCache<Model[], 'public'>({
    name: 'models',
    scope: 'public',
    clock: new FakeClock(),
    random: () => 0.5,
    memory: createMemoryTier({ maxBytes: 10_000 }),
    freshMs: 60_000,
    bytesOf: () => 1,
  })
  const models = createModels(router, cache, () => [])
  const ids = async () => (await models.list('account', false)).models.map(({ id }) => id)
  expect(await ids()).toEqual(['of https://one.test/v1'])
  expect(await ids()).toEqual(['of https://one.test/v1'])
  baseUrl = 'https://two.test/v1'
  expect(await ids()).toEqual(['of https://two.test/v1'])
  expect(loaded).toEqual(['https://one.test/v1', 'https://two.test/v1'])
})
