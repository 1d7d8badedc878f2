/** Asks the gateway, and writes down what was asked, what was answered and how long that took. */

export interface TranscriptOptions {
  url: string
  apiKey: string
  write(line: string): void
  /** Between two looks at what is awaited. */
  pollMs: number
}

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: each step knows what it has asked for.
  body: any
}

type Asked = { method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'; body?: object }

export interface Transcript {
  /** Of what follows. */
  step(title: string): void
  /** From now on the id is written as its name: a transcript is the same whatever the ids are. */
  name(id: string, name: string): void
  /** @throws Error where it is refused */
  ask(path: string, asked?: Asked): Promise<Answer>
  /** As `ask`, and nothing is written down. */
  read(path: string): Promise<Answer>
  /** Asks again until it holds; only the first request is written down. @throws Error after two minutes */
  until(path: string, holds: (answer: Answer) => boolean, asked?: Asked): Promise<Answer>
  /** A request that another client sends. */
  request(line: string): void
  tell(line: string): void
  /** Of the whole walk: what does not hold is told of, and the walk goes on. */
  check(promise: string, holds: boolean, saw: string): void
  failed(): string[]
}

const waitMs = 120_000

/** Looks until there is something. @throws Error after two minutes */
export async function awaited<T>(look: () => T | undefined | Promise<T | undefined>, pollMs: number): Promise<T> {
  for (const from = performance.now(); performance.now() - from < waitMs; ) {
    const value = await look()
    if (value !== undefined) return value
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
  throw new Error('what was awaited did not come about within two minutes')
}

export function createTranscript({ url, apiKey, write, pollMs }: TranscriptOptions): Transcript {
  const names = new Map<string, string>()
  const failures: string[] = []
  let steps = 0
  let keys = 0
  /** Of the last request, until its answer is told. */
  let since: number | undefined

  const named = (text: string) => [...names].reduce((line, [id, name]) => line.replaceAll(id, name), text)
  const request = (line: string) => {
    write(named(`$ ${line}`))
    since = performance.now()
  }

  async function send(path: string, { method = 'GET', body }: Asked): Promise<Answer> {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body && { 'content-type': 'application/json' }),
        ...(method === 'POST' && { 'idempotency-key': `walk-${++keys}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json')
    return { status: response.status, body: isJson ? JSON.parse(text) : text }
  }

  async function answered(path: string, asked: Asked): Promise<Answer> {
    const answer = await send(path, asked)
    if (answer.status >= 400) throw new Error(`${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    return answer
  }

  function requestLine(path: string, { method = 'GET', body }: Asked): string {
    const isUsual = method === (body ? 'POST' : 'GET')
    return `curl ${isUsual ? '' : `-X ${method} `}"$GW${path}"${body ? ` -d '${JSON.stringify(body)}'` : ''}`
  }

  return {
    step(title) {
      write(`${steps === 0 ? '' : '\n'}# ${++steps}. ${title}`)
    },
    name: (id, name) => void names.set(id, name),
    async ask(path, asked = {}) {
      request(requestLine(path, asked))
      return answered(path, asked)
    },
    read: (path) => answered(path, {}),
    async until(path, holds, asked = {}) {
      request(requestLine(path, asked))
      let answer: Answer | undefined
      const look = async () => {
        answer = await send(path, asked)
        return holds(answer) ? answer : undefined
      }
      return awaited(look, pollMs).catch((error) => {
        throw new Error(`${path} is not what was awaited: ${JSON.stringify(answer)}`, { cause: error })
      })
    },
    request,
    tell(line) {
      const took = since === undefined ? '' : `${((performance.now() - since) / 1000).toFixed(1)} s`
      since = undefined
      write(named(`${took.padStart(8)}  ${line}`))
    },
    check(promise, holds, saw) {
      write(named(`${(holds ? 'ok' : 'FAILED').padStart(8)}  ${promise}: ${saw}`))
      if (!holds) failures.push(promise)
    },
    failed: () => failures,
  }
}

/** What stays the same from one walk to the next: its steps, its requests and what it checks. */
export const shapeOf = (transcript: string): string[] =>
  transcript.split('\n').flatMap((line) => /^(?:# .*|\$ .*| +(?:ok|FAILED) {2}[^:]*)/.exec(line)?.[0].trim() ?? [])
