/**
 * The models on offer: every provider's list under one roof, cached, since callers ask for it at each start. As with
 * the markets, a provider that cannot say shortens the list, which then says so.
 */
import type { Cache, CacheResult } from '../cache/cache.ts'
import { ApiError } from '../errors.ts'
import type { Model } from '../providers/openai.ts'
import type { RoutingTable } from '../routing/table.ts'
import type { Router } from './router.ts'

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

export function createModels(router: Router, cache: Cache<Model[]>): Models {
  const look = async () => {
    const providers = router.openProviders()
    const lists = await Promise.allSettled(
      providers.map((provider) => cache.get(provider.name, () => provider.models(nobody))),
    )
    return { providers, lists }
  }

  const merge = ({ providers, lists }: Awaited<ReturnType<typeof look>>): ModelList => {
    const found = lists.flatMap((list) => (list.status === 'fulfilled' ? [list.value] : []))
    const byId = new Map<string, Model>()
    // The routing table's own names come first; of the providers, the first is the one that a model's calls go to.
    for (const model of named(router.table())) byId.set(model.id, model)
    for (const model of found.flatMap(({ value }) => value)) if (!byId.has(model.id)) byId.set(model.id, model)
    return {
      models: [...byId.values()],
      providers: providers.map(({ name }, i) => ({ name, status: lists[i]!.status === 'fulfilled' ? 'ok' : 'error' })),
      result:
        found.find(({ result }) => result !== 'memory')?.result ??
        (found.length > 0 || providers.length === 0 ? 'memory' : 'miss'),
    }
  }

  return {
    list: async () => merge(await look()),
    async find(id) {
      const looked = await look()
      const { models, result } = merge(looked)
      const model = models.find((candidate) => candidate.id === id)
      if (model) return { model, result }
      for (const list of looked.lists) if (list.status === 'rejected') throw list.reason
      throw new ApiError('model_not_found', { param: 'model' })
    },
  }
}

const named = ({ models }: RoutingTable): Model[] =>
  [...models.values()].flatMap(({ name, targets }) =>
    name === '*' ? [] : [{ id: name, object: 'model', created: 0, owned_by: targets[0]!.provider }],
  )
