/** What the gateway itself needs of the bodies of OpenAI's endpoints; everything else is the provider's to judge. */
import * as z from 'zod'
import type { InferenceEndpoint } from '../providers/endpoints.ts'
import { maxAnswers } from '../services/cost.ts'

/** What a request asks for, in whatever words its endpoint has for it. */
export interface Asked {
  stream: boolean
  /** The usage event at the end of a streamed completion. */
  usage: boolean
  /** Answers that each end with an event of their own, when streamed. */
  answers: number
}

/** Its list of models may stand in for it, so a missing one is complained about where both are known. */
const model = z.string().min(1).max(256).optional()
const stream = z.boolean().nullish()
const text = z.string().min(1)
const textOrList = z.union([z.string(), z.array(z.unknown()).min(1)], 'must be a text, or a list that is not empty')

const asked = ({ stream = false, usage = false, answers = 1 }: Partial<Asked>): Asked => ({ stream, usage, answers })
/** Credit is held for as many. A text is read as a number, as some servers do; else it is the provider's to judge. */
const choices = z
  .unknown()
  .refine((value) => !(Number(value) > maxAnswers), `Must be at most ${maxAnswers}`)
  .optional()
const completion = {
  model,
  stream,
  n: choices,
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
}
const askedOfCompletion = ({ stream, stream_options }: z.output<z.ZodObject<typeof completion>>) =>
  asked({ stream: stream === true, usage: stream_options?.include_usage === true })
/** For what has no stream: whoever says so of all his calls says it here, too. */
const notStreamed = { stream: z.literal(false, 'must be false here, or be left out').nullish() }

type Bodies = Partial<Record<InferenceEndpoint, z.ZodType<Asked>>>

export const jsonBodies = {
  'chat/completions': z
    .looseObject({ ...completion, messages: z.array(z.looseObject({ role: z.string() })).min(1) })
    .transform(askedOfCompletion),
  completions: z
    .looseObject({ ...completion, best_of: choices, prompt: textOrList.nullable() })
    .transform(askedOfCompletion),
  embeddings: z.looseObject({ model, ...notStreamed, input: textOrList }).transform(() => asked({})),
  responses: z
    .looseObject({ model, stream, input: textOrList })
    .transform(({ stream }) => asked({ stream: stream === true })),
  moderations: z.looseObject({ model, ...notStreamed, input: textOrList }).transform(() => asked({})),
  'images/generations': z
    .looseObject({ model, stream, prompt: text, n: z.int().min(1).max(maxAnswers).nullish() })
    .transform(({ stream, n }) => asked({ stream: stream === true, answers: n ?? 1 })),
  'audio/speech': z
    .looseObject({
      model,
      input: text,
      voice: z.union([text, z.looseObject({})], 'must be the name of a voice'),
      stream_format: z.enum(['audio', 'sse']).nullish(),
    })
    .transform(({ stream_format }) => asked({ stream: stream_format === 'sse' })),
} satisfies Bodies

/** Of the text fields; that there is one file and one model was seen to when the form was read. */
export const formBodies = {
  'audio/transcriptions': z
    .looseObject({ model, stream: z.stringbool().optional() })
    .transform(({ stream }) => asked({ stream: stream === true })),
  'audio/translations': z.looseObject({ model, stream: z.undefined().optional() }).transform(() => asked({})),
} satisfies Bodies

/**
 * Families that keep an account's state at the provider, where all accounts share one credential: each path and all
 * below it. What is below the two endpoints is what they would have stored.
 */
export const statefulFamilies = [
  'assistants',
  'audio/voice_consents',
  'audio/voices',
  'batches',
  'chat/completions/:id',
  'chatkit',
  'containers',
  'conversations',
  'evals',
  'files',
  'fine-tunes',
  'fine_tuning',
  'organization',
  'projects',
  'prompts',
  'realtime',
  'responses/:id',
  'skills',
  'threads',
  'uploads',
  'vector_stores',
  'videos',
]

/** What this gateway does not offer, though nothing is kept. */
export const notOffered = ['images/edits', 'images/variations']
