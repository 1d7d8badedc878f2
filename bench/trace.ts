/** A request trace in the form of Azure's: arrival, tokens of the prompt, tokens generated. */

export interface TracedRequest {
  /** After the first request, in ms. */
  atMs: number
  promptTokens: number
  generatedTokens: number
}

const columns = 'TIMESTAMP,ContextTokens,GeneratedTokens'

export function parseTrace(csv: string): TracedRequest[] {
  const [head, ...lines] = csv.trim().split(/\r?\n/)
  if (head !== columns) throw new Error(`a trace begins with the line ${columns}, not with ${head}`)
  let first: number | undefined
  return lines.map((line, index) => {
    const [timestamp = '', context, generated] = line.split(',')
    const at = parseTimestamp(timestamp)
    const [promptTokens, generatedTokens] = [Number(context), Number(generated)]
    if (!(at >= (first ?? at)) || !isCount(promptTokens) || !isCount(generatedTokens)) {
      throw new Error(`line ${index + 2} of the trace is not a request: ${line}`)
    }
    first ??= at
    return { atMs: at - first, promptTokens, generatedTokens }
  })
}

const isCount = (value: number) => Number.isInteger(value) && value >= 1

/** `2023-11-16 18:15:46.6805900`, with more digits than a Date keeps; the trace's clock is UTC. */
export function parseTimestamp(text: string): number {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?$/.exec(text)
  if (!match) return Number.NaN
  return Date.parse(`${match[1]}T${match[2]}Z`) + Number(match[3] ?? 0) * 1000
}
