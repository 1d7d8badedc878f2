/** Conversations that go on while machines come and go: streamed, a few at once, by the official SDK. */
import type OpenAI from 'openai'

export interface Talk {
  answered: number
  failed: string[]
  /** By who answers, as the gateway says. */
  by: Map<string, number>
  /** No new ones are begun; resolves when the last has ended. */
  stop(): Promise<void>
}

const length = 40

export async function chat(client: OpenAI, model: string): Promise<{ text: string; provider: string }> {
  const { data, response } = await client.chat.completions
    .create({ model, messages: [{ role: 'user', content: 'Count.' }], max_tokens: length, stream: true })
    .withResponse()
  let text = ''
  let ended: string | null = null
  for await (const { choices } of data) {
    text += choices[0]?.delta.content ?? ''
    ended = choices[0]?.finish_reason ?? ended
  }
  const count = text.split(' ').length
  if (ended === null || count !== length) throw new Error(`an answer of ${count} words ended with ${ended}`)
  return { text, provider: response.headers.get('x-gpuproxy-provider') ?? 'nobody' }
}

export function startTalk(client: OpenAI, model: string, atOnce: number): Talk {
  let stopped = false
  const talk = { answered: 0, failed: [] as string[], by: new Map<string, number>() }
  async function goOn() {
    while (!stopped) {
      try {
        const { provider } = await chat(client, model)
        talk.answered++
        talk.by.set(provider, (talk.by.get(provider) ?? 0) + 1)
      } catch (error) {
        talk.failed.push(String(error))
        // What fails at once must not be asked for in a tight loop.
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }
  const loops = Array.from({ length: atOnce }, goOn)
  return Object.assign(talk, {
    async stop() {
      stopped = true
      await Promise.all(loops)
    },
  })
}
