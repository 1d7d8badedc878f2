/** Reads server-sent events from a body, chunk by chunk and within bounds, whatever boundaries the network chose. */
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { HttpFailure } from '../ports.ts'

export type SseEvent = EventSourceMessage

/**
 * The events completed by each chunk, in order, as `read` makes them; chunks that complete none yield nothing. One
 * generator for both steps: thousands of streams that wait hold each of them.
 */
export async function* readEvents<Event>(
  body: AsyncIterable<Uint8Array>,
  read: (event: SseEvent) => Event,
  maxEventChars = 8 * 1024 * 1024,
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
  for await (const chunk of body) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    if (overflow) throw new HttpFailure('too_large')
    if (events.length === 0) continue
    const complete = events
    events = []
    yield complete
  }
}
