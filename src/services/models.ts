/**
 * The models on offer: every provider's list under one roof, cached, since callers ask for it at each start. As with
 * the markets, a provider that cannot say shortens the list, which then says so.
 */
import type { Cache, CacheResult } from '../cache/cache.ts'
import { ApiError } from '../errors.ts'
import type { Model, ModelProvider } from '../providers/openai.ts'

export interface ModelList {
  models: Model[]
  providers: { name: string; status: 'ok' | 'error' }[]
  result: CacheResult
}

export interface Models {
  list(): Promise<ModelList>
  /** @throws ApiError `model_not_found`, or the failure of a provider that may well have it. */
  find(id: string): Promise<{ model: Model; result: CacheResult }>
}

/** The list is shared by all callers, so nobody's leaving may end its loading; the call's own deadline does. */
const nobody = new AbortController().signal

export function createModels(providers: readonly ModelProvider[], cache: Cache<Model[]>): Models {
  const look = () =>
    Promise.allSettled(providers.map((provider) => cache.get(provider.name, () => provider.models(nobody))))

  const merge = (looked: Awaited<ReturnType<typeof look>>): ModelList => {
    const found = looked.flatMap((list) => (list.status === 'fulfilled' ? [list.value] : []))
    const byId = new Map<string, Model>()
    // The first provider is the one that a model's calls go to.
    for (const model of found.flatMap(({ value }) => value)) if (!byId.has(model.id)) byId.set(model.id, model)
    return {
      models: [...byId.values()],
      providers: providers.map(({ name }, i) => ({ name, status: looked[i]!.status === 'fulfilled' ? 'ok' : 'error' })),
      result: found.find(({ result }) => result !== 'memory')?.result ?? (found.length > 0 ? 'memory' : 'miss'),
    }
  }

  return {
    list: async () => merge(await look()),
    async find(id) {
      const looked = await look()
      const { models, result } = merge(looked)
      const model = models.find((candidate) => candidate.id === id)
      if (model) return { model, result }
      for (const list of looked) if (list.status === 'rejected') throw list.reason
      throw new ApiError('model_not_found', { param: 'model' })
    },
  }
}
