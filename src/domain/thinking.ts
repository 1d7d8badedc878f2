/** Models that think before they speak, for minutes at times, without a word of what they think. */

const names = /^(?:[\w.-]+\/)*(?:o\d|gpt-[5-9](?!.*chat))/

/** Whether a model does, by its name or by what is asked of it. */
export function thinks(model: string, { reasoning, reasoning_effort: effort }: Record<string, unknown>): boolean {
  if (effort === 'none') return false
  return reasoning != null || effort != null || names.test(model)
}
