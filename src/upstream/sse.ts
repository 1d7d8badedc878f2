/** Reads server-sent events from a body, chunk by chunk and within bounds, whatever boundaries the network chose. */
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { HttpFailure } from '../ports.ts'

export type SseEvent = EventSourceMessage

export interface ReadEventsOptions<Event> {
  /** @default 8 Mi */
  maxEventChars?: number | undefined
  /** Asked where an event begins, before it is parsed: as many as it knows to read by itself, and where they end. */
  readMany?: (text: string, at: number) => { event: Event; end: number } | undefined
}

/**
 * The events completed by each chunk, in order, as `read` makes them; chunks that complete none yield nothing. One
 * generator for both steps: thousands of streams that wait hold each of them.
 */
export async function* readEvents<Event>(
  body: AsyncIterable<Uint8Array>,
  read: (event: SseEvent) => Event,
  { maxEventChars = 8 * 1024 * 1024, readMany }: ReadEventsOptions<Event> = {},
): AsyncGenerator<Event[], void, void> {
  const decoder = new TextDecoder()
  let events: Event[] = []
  let overflow = false
  const parser = createParser({
    maxBufferSize: maxEventChars,
    onEvent: (event) => events.push(read(event)),
    onError: (error) => {
      // Other errors are unknown fields, which the specification ignores.
      if (error.type === 'max-buffer-size-exceeded') overflow = true
    },
  })
  /** Nothing is left in the parser: the next character begins an event. */
  let fresh = true
  for await (const chunk of body) {
    const text = decoder.decode(chunk, { stream: true })
    for (let at = 0; at < text.length; ) {
      const many = fresh ? readMany?.(text, at) : undefined
      if (many) {
        events.push(many.event)
        at = many.end
        continue
      }
      const blank = readMany ? text.indexOf('\n\n', at) : -1
      const end = blank < 0 ? text.length : blank + 2
      parser.feed(text.slice(at, end))
      if (overflow) break
      fresh = blank >= 0
      at = end
    }
    if (overflow) throw new HttpFailure('too_large')
    if (events.length === 0) continue
    const complete = events
    events = []
    yield complete
  }
}
