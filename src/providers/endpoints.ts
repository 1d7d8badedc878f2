/** The endpoints of OpenAI's API that answer with a model's work, and how their answers come. */

export interface Endpoint {
  /**
   * What an answer in one piece is: an object; an object or a text, as the caller chooses with `response_format`; or
   * bytes of the type that the provider says.
   */
  answer: 'json' | 'text' | 'binary'
  /** How it streams; undefined = it does not. */
  events: 'chat' | 'typed' | undefined
  /** The request is a form with a file in it. */
  form: boolean
  /** The first event may be as late as the whole answer: its lateness says nothing. */
  worksBeforeItSpeaks?: true
  /** Some models do not stream, and answer in one piece although they were asked to. */
  mayNotStream?: true
  /** Ten pictures, or the vectors of 2,048 texts. */
  largeAnswers?: true
  /** What the provider takes where the caller names no model. */
  defaultModel?: string
}

export const endpoints = {
  'chat/completions': { answer: 'json', events: 'chat', form: false },
  completions: { answer: 'json', events: 'chat', form: false },
  embeddings: { answer: 'json', events: undefined, form: false, largeAnswers: true },
  responses: { answer: 'json', events: 'typed', form: false },
  moderations: { answer: 'json', events: undefined, form: false, defaultModel: 'omni-moderation-latest' },
  'images/generations': { answer: 'json', events: 'typed', form: false, worksBeforeItSpeaks: true, largeAnswers: true },
  'audio/speech': { answer: 'binary', events: 'typed', form: false },
  'audio/transcriptions': {
    answer: 'text',
    events: 'typed',
    form: true,
    worksBeforeItSpeaks: true,
    mayNotStream: true,
  },
  'audio/translations': { answer: 'text', events: undefined, form: true },
} as const satisfies Record<string, Endpoint>

export type InferenceEndpoint = keyof typeof endpoints

/** Whether a success of this type can be an answer; what says JSON must still be looked into. */
export function isAnswerType(answer: Endpoint['answer'], contentType: string | undefined): boolean {
  const [type = ''] = (contentType ?? '').toLowerCase().split(';', 1)
  if (answer === 'binary') return /^audio\/|^application\/octet-stream\s*$/.test(type)
  if (type.startsWith('application/json')) return true
  // Servers do not agree on the types of subtitles. A page is no transcription.
  return answer === 'text' ? type.startsWith('text/') && !type.startsWith('text/html') : false
}
