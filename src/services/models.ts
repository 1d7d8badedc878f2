/**
 * The models on offer: every provider's list under one roof, cached, since callers ask for it at each start. As with
 * the markets, a provider that cannot say shortens the list, which then says so.
 */
import { type Cache, type CacheResult, farthest, SourceResting } from '../cache/cache.ts'
import { publicKey } from '../cache/keys.ts'
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
  /** `fresh`: the caller would rather not have a list out of a cache. */
  list(accountId: string, fresh: boolean): Promise<ModelList>
  /** @throws ApiError `model_not_found`, or the failure of a provider that may well have it. */
  find(accountId: string, id: string, fresh: boolean): Promise<{ model: Model; result: CacheResult }>
}

/** The list is shared by all callers, so nobody's leaving may end its loading; the call's own deadline does. */
const nobody = new AbortController().signal

/** Callers who want no cached list get one that is younger than this: they cannot make the gateway ask more often. */
const leastIntervalMs = 15_000

/** `ownNames`: of what an account serves itself, which it alone is shown. */
export function createModels(
  router: Router,
  cache: Cache<Model[], 'public'>,
  ownNames: (accountId: string) => Iterable<string>,
): Models {
  const look = async (accountId: string, fresh: boolean) => {
    const isServed = router.table().providers.size > 0 || !ownNames(accountId)[Symbol.iterator]().next().done
    if (!isServed) throw new ApiError('provider_not_configured')
    const maxAgeMs = fresh ? leastIntervalMs : undefined
    const providers = router.openProviders()
    const rows = router.table().providers
    // Under another routing table, here or in another pod, the name may be of somebody else.
    const keyOf = (name: string) => publicKey(name, rows.get(name)!.baseUrl)
    const lists = await Promise.allSettled(
      providers.map((provider) => cache.get(keyOf(provider.name), () => provider.models(nobody), maxAgeMs)),
    )
    return { providers, lists }
  }

  const merge = (accountId: string, { providers, lists }: Awaited<ReturnType<typeof look>>): ModelList => {
    const found = lists.flatMap((list) => (list.status === 'fulfilled' ? [list.value] : []))
    const byId = new Map<string, Model>()
    for (const id of ownNames(accountId)) byId.set(id, { id, object: 'model', created: 0, owned_by: 'rented' })
    // The routing table's own names come first; of the providers, the first is the one that a model's calls go to.
    for (const model of named(router.table())) if (!byId.has(model.id)) byId.set(model.id, model)
    for (const model of found.flatMap(({ value }) => value)) if (!byId.has(model.id)) byId.set(model.id, model)
    return {
      models: [...byId.values()],
      providers: providers.map(({ name }, i) => ({ name, status: lists[i]!.status === 'fulfilled' ? 'ok' : 'error' })),
      result: farthest(lists.map((list) => (list.status === 'fulfilled' ? list.value.result : 'miss'))),
    }
  }

  return {
    list: async (accountId, fresh) => merge(accountId, await look(accountId, fresh)),
    async find(accountId, id, fresh) {
      const looked = await look(accountId, fresh)
      const { models, result } = merge(accountId, looked)
      const model = models.find((candidate) => candidate.id === id)
      if (model) return { model, result }
      for (const list of looked.lists) if (list.status === 'rejected') throw toPublic(list.reason)
      throw new ApiError('model_not_found', { param: 'model' })
    },
  }
}

const toPublic = (error: unknown) =>
  error instanceof SourceResting ? new ApiError('upstream_unavailable', { retryAfterMs: error.forMs }) : error

const named = ({ models }: RoutingTable): Model[] =>
  [...models.values()].flatMap(({ name, targets }) =>
    name === '*' ? [] : [{ id: name, object: 'model', created: 0, owned_by: targets[0]!.provider }],
  )
