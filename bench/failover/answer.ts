/** The answer that every call of the scorecard must bring: sixty known words, none like another. */
export const answerWords = 60
export const answer = Array.from({ length: answerWords }, (_, index) => `w${index + 1}`).join(' ')

/** The rest of the answer, one event each; nothing where `begun` is no beginning of it. */
export function piecesAfter(begun: string): string[] {
  return answer.startsWith(begun) ? (answer.slice(begun.length).match(/\s*\S+/g) ?? []) : []
}

/** They differ, so that a usage tells who reported it. */
export const promptTokens = { primary: 11, spare: 22 }
