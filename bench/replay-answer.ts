/** Reads one answer of a replay as it arrives, and says whether it is whole and exactly what the trace recorded. */
import { createParser } from 'eventsource-parser'
import type { TracedRequest } from './trace.ts'

export interface AnswerCheck {
  read(bytes: Uint8Array): void
  /** What is wrong with the answer; undefined = it is complete. */
  end(): string | undefined
  words(): number
}

interface Usage {
  prompt_tokens?: number
  completion_tokens?: number
}

export function checkStream(traced: TracedRequest): AnswerCheck {
  const decoder = new TextDecoder()
  let words = 0
  let finished = false
  let done = false
  let broken = false
  let usage: Usage | undefined
  const parser = createParser({
    onEvent({ data }) {
      if (data === '[DONE]') {
        done = true
        return
      }
      const event = parse(data)
      if (!event || event.error) broken = true
      for (const choice of event?.choices ?? []) {
        words += countWords(choice.delta?.content)
        if (choice.finish_reason) finished = true
      }
      usage = event?.usage ?? usage
    },
  })
  return {
    read: (bytes) => parser.feed(decoder.decode(bytes, { stream: true })),
    words: () => words,
    end() {
      if (broken) return 'malformed event'
      if (!finished) return 'no finish_reason'
      if (!done) return 'no [DONE]'
      return difference(traced, words, usage)
    },
  }
}

export function checkWhole(traced: TracedRequest): AnswerCheck {
  const chunks: Uint8Array[] = []
  let words = 0
  return {
    read: (bytes) => void chunks.push(bytes),
    words: () => words,
    end() {
      const answer = parse(Buffer.concat(chunks).toString())
      const choice = answer?.choices?.[0]
      if (!choice) return 'malformed answer'
      words = countWords(choice.message?.content)
      if (!choice.finish_reason) return 'no finish_reason'
      return difference(traced, words, answer?.usage)
    },
  }
}

interface Completion {
  error?: unknown
  choices?: { delta?: { content?: string }; message?: { content?: string }; finish_reason?: string | null }[]
  usage?: Usage
}

function parse(text: string): Completion | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function difference(traced: TracedRequest, words: number, usage: Usage | undefined): string | undefined {
  if (words !== traced.generatedTokens) return 'wrong number of words'
  if (!usage) return 'no usage'
  if (usage.prompt_tokens !== traced.promptTokens) return 'wrong prompt_tokens'
  return usage.completion_tokens === traced.generatedTokens ? undefined : 'wrong completion_tokens'
}

const countWords = (text: string | undefined) => text?.match(/\S+/g)?.length ?? 0
