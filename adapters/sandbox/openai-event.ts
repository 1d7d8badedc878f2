/** Streams whose events carry a type: OpenAI's way of streaming whatever is no completion. */
import type { Step } from './send.ts'

export interface TypedEvent {
  type: string
  [field: string]: unknown
}

/** One event of a stream. The audio endpoints name no event, and tell the type in the data alone. */
export function eventStep(
  event: TypedEvent,
  { named = true, ...step }: { named?: boolean } & Omit<Part, 'data'> = {},
): Step {
  return { ...step, data: `${named ? `event: ${event.type}\n` : ''}data: ${JSON.stringify(event)}\n\n` }
}

type Part = Exclude<Step, 'reset'>
