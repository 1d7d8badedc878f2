/**
 * Many callers who want the same thing at the same time share one load. A caller who leaves does not end the load for
 * the others, so a load takes no caller's signal: it has to bound itself.
 */
export interface SingleFlight<T> {
  run(key: string, load: () => Promise<T>): Promise<T>
  readonly size: number
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Promise<T>>()
  return {
    run(key, load) {
      const flying = flights.get(key)
      if (flying) return flying
      const flight = load().finally(() => flights.delete(key))
      flights.set(key, flight)
      return flight
    },
    get size() {
      return flights.size
    },
  }
}
