/** Stands in for `src/services/meter.ts` where requests are not metered; limits still hear of tokens. */
import type { TokenUsage } from '../src/providers/token-usage.ts'

interface Counted {
  tokensUsed: number | undefined
}

export const createNoteKept = () => () => {}
export const startMeter = (_options: object, request: Counted) => new Meter(request)

class Meter {
  readonly cost = 0
  private readonly request: Counted
  constructor(request: Counted) {
    this.request = request
  }
  usage({ inputTokens, outputTokens }: TokenUsage) {
    this.request.tokensUsed = inputTokens + outputTokens
  }
  answeredBy() {}
  unanswered() {}
  reached(): undefined {}
  images() {}
  addUsage() {}
  end() {}
}
