/**
 * Finds who goes on with an answer that broke off: the targets not yet asked, in their order, and then, where the
 * connection was only cut, the same one again. A target that continues a trailing assistant message is asked for the
 * rest; any other begins anew, and is heard out only if it says the same.
 */
import type { InferenceAnswer, StreamedAnswer } from '../providers/openai.ts'
import type { Answer, GuardedCall, GuardedCallOptions, Target } from '../upstream/guarded-call.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import type { Circuit } from '../upstream/upstream.ts'
import { continuationOf } from './continuation.ts'
import type { Source } from './relay-stream.ts'
import type { Choice } from './router.ts'
import { spliceContinuation, spliceRestart } from './splice.ts'
import type { Transcript } from './transcript.ts'

type InferenceTarget = Target<InferenceAnswer>

export interface RescueOptions {
  guardedCall: GuardedCall
  /** As for the first call: the tries of one request are counted together. */
  calls: GuardedCallOptions
  choices: readonly Choice[]
  /** What the caller sent. */
  body: Record<string, unknown>
  targetOf(choice: Choice, fields: Record<string, unknown>): InferenceTarget
  /** Those that have refused to continue an answer, and answered the same request without that. */
  refusesPrefill: WeakSet<Circuit>
}

export interface Rescued {
  /** The index of the choice that goes on. */
  at: number
  source: Source
}

export function createRescue(options: RescueOptions) {
  const { guardedCall, calls, choices, body, targetOf, refusesPrefill } = options
  const asked = new Set<number>()
  /** They have refused this request. */
  const refused = new Set<number>()
  /** Or, it may be, only to continue it. */
  const refusedToContinue = new Set<number>()

  function candidate(i: number, transcript: Transcript) {
    const choice = choices[i]!
    const { provider, planned } = choice
    const refuses = refusedToContinue.has(i) || refusesPrefill.has(provider.upstream.circuit(planned.model))
    const prefill = refuses ? undefined : planned.row.prefill
    const continuation = continuationOf(body, transcript, prefill)
    return { i, continuation, target: { ...targetOf(choice, continuation ?? {}), again: asked.has(i) } }
  }

  /** The choice at `at` broke. Undefined where nobody can go on. */
  return async function rescue(
    transcript: Transcript,
    at: number,
    broken: UpstreamFailure | 'mismatch',
  ): Promise<Rescued | undefined> {
    asked.add(at)
    // One that fell silent is not asked a second time, and one that says something else would do so again.
    const onceMore = broken !== 'mismatch' && broken.class !== 'silent'
    for (;;) {
      const order = [...choices.keys()].filter((i) => i > at).concat(onceMore ? at : [])
      const candidates = order.filter((i) => !refused.has(i)).map((i) => candidate(i, transcript))
      let answer: Answer<InferenceAnswer>
      try {
        answer = await guardedCall(
          candidates.map(({ target }) => target),
          calls,
        )
      } catch (error) {
        if (error instanceof UpstreamFailure) return undefined
        throw error
      }
      const { i, continuation, target } = candidates.find((each) => each.target === answer.target)!
      asked.add(i)
      if (answer.value.kind === 'stream') {
        if (refusedToContinue.has(i)) refusesPrefill.add(target.circuit)
        const splice = continuation ? spliceContinuation(transcript) : spliceRestart(transcript)
        return {
          at: i,
          source: sourceOf(choices[i]!, answer.value, answer, splice, continuation ? 'prefill' : 'restart'),
        }
      }
      answer.hold.release()
      // Without it a text completion would be asked for in the same words.
      if (continuation && 'messages' in continuation) refusedToContinue.add(i)
      else refused.add(i)
    }
  }
}

/** One provider's part of an answer. `rescuedBy`: how it joins on to what others have sent. */
export function sourceOf(
  { provider, planned }: Choice,
  { begun, rest, maxSilenceMs }: StreamedAnswer,
  { hold, attempt }: Pick<Answer<unknown>, 'hold' | 'attempt'>,
  splice?: Source['splice'],
  rescuedBy?: Source['rescuedBy'],
): Source {
  const pace = planned.row.timeouts.minTokensPerSecond
  // As with the other limits: on the last one, slow is better than nothing.
  return {
    provider: provider.name,
    begun,
    rest,
    hold,
    splice,
    rescuedBy,
    minTokensPerSecond: attempt.last ? undefined : pace,
    maxSilenceMs,
  }
}
