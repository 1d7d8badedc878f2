/** Counts the abort listeners that are on a signal from now on. */
export function listening(signal: AbortSignal): () => number {
  const listeners = new Set<unknown>()
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (type: string, listener: EventListener, options?: AddEventListenerOptions) => {
    listeners.add(listener)
    const once = (event: Event) => {
      if (options?.once) listeners.delete(listener)
      listener(event)
    }
    wrapped.set(listener, once)
    add(type, once, options)
  }
  signal.removeEventListener = (type: string, listener: EventListener) => {
    if (type === 'abort') listeners.delete(listener)
    remove(type, wrapped.get(listener) ?? listener)
  }
  const wrapped = new Map<EventListener, EventListener>()
  return () => listeners.size
}
