/** What a person at a terminal sees after the start: where it is, a key that works, and one line to try. */
import type { Storage } from './storage.ts'

export async function printWelcome(url: string, { issueWelcomeKey }: Storage, sandbox: readonly string[]) {
  const key = await issueWelcomeKey()
  const played =
    sandbox.length > 0 ? `\n  Sandbox plays: ${sandbox.join(', ')} (set their API keys to use the real ones)` : ''
  process.stdout.write(`
  aiserve-gpuproxy on ${url}
  API key: ${key} (new at each start; the last one no longer works)${played}

  curl ${url}/v1/chat/completions \\
    -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' \\
    -d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}'

  Ctrl-C stops it.
`)
}
