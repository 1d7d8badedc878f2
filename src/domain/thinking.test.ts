import { expect, it } from 'vitest'
import { thinks } from './thinking.ts'

it.each(['o1', 'o3-mini', 'o4-mini-2025-04-16', 'gpt-5', 'gpt-5.1-codex', 'openai/gpt-5-pro'])('%s thinks', (model) => {
  expect(thinks(model, {})).toBe(true)
  expect(thinks(model, { reasoning_effort: 'none' })).toBe(false)
})

it.each(['gpt-4o', 'gpt-5-chat-latest', 'omni-moderation-latest', 'ollama', 'llama-3.1-70b', ''])(
  '%s does not, unless it is asked to',
  (model) => {
    expect(thinks(model, { reasoning: null })).toBe(false)
    expect(thinks(model, { reasoning: { effort: 'low' } })).toBe(true)
    expect(thinks(model, { reasoning_effort: 'high' })).toBe(true)
  },
)
