/** The models on offer: every provider's list under one roof, cached, since callers ask for it at each start. */
import type { Cache, CacheResult } from '../cache/cache.ts'
import type { Model, ModelProvider } from '../providers/openai.ts'

export interface Models {
  list(): Promise<{ models: Model[]; result: CacheResult }>
}

/** The list is shared by all callers, so nobody's leaving may end its loading; the call's own deadline does. */
const nobody = new AbortController().signal

export function createModels(providers: readonly ModelProvider[], cache: Cache<Model[]>): Models {
  return {
    async list() {
      const lists = await Promise.all(
        providers.map((provider) => cache.get(provider.name, () => provider.models(nobody))),
      )
      const byId = new Map<string, Model>()
      // The first provider is the one that a model's calls go to.
      for (const model of lists.flatMap((list) => list.value)) if (!byId.has(model.id)) byId.set(model.id, model)
      const result = lists.find((list) => list.result !== 'memory')?.result ?? 'memory'
      return { models: [...byId.values()], result }
    },
  }
}
