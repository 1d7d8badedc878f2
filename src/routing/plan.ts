/** Which provider is asked for a model, in which order. Without a routing file: the first configured one, for all. */
export interface RouteTarget {
  provider: string
  /** The model's name at the provider. */
  model: string
}

export type PlanRoute = (model: string) => readonly RouteTarget[]

export function createPlanner(providers: readonly string[]): PlanRoute {
  const provider = providers[0]
  return (model) => (provider === undefined ? [] : [{ provider, model }])
}
