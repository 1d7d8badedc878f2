/**
 * Some servers read a field's name in any case, and take the last of several (Go's do): what the gateway goes by would
 * mean one thing here and another there.
 */
import { ApiError } from '../errors.ts'

/** By which price and credit go, what a key may ask for, and whose a name is at the provider. */
const goneBy = new Set([
  ...['model', 'models', 'fallbacks', 'service_tier', 'tools', 'input', 'prompt', 'n', 'best_of', 'stream'],
  ...['stream_options', 'max_tool_calls', 'web_search_options', 'plugins', 'search_parameters'],
  ...['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'prompt_cache_key', 'safety_identifier', 'user'],
])
/** Twice: `ſ` and the Kelvin sign are letters then. */
const folded = (name: string) => name.toUpperCase().toLowerCase()

/** @throws ApiError that names the first such field. */
export function refuseOtherSpellings(body: Readonly<Record<string, unknown>>): void {
  for (const name in body) {
    if (goneBy.has(name)) continue
    const meant = folded(name)
    if (!goneBy.has(meant)) continue
    throw new ApiError('invalid_body', {
      message: `${name}: some servers read this as "${meant}", others do not. Write "${meant}", or leave it out.`,
      param: name,
    })
  }
}
