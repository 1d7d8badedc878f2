import { describe, expect, it } from 'vitest'
import { hostedCallsIn, hostedTool, isHostedCall } from './hosted-tools.ts'

describe('what the provider bills by the call', () => {
  it.each<[object, string, object]>([
    [
      { tools: [{ type: 'function' }, { type: 'web_search_preview' }] },
      'm',
      { param: 'tools', tool: 'web_search_preview' },
    ],
    [{ tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] }, 'm', { tool: 'code_interpreter' }],
    [{ tools: [{ type: 'shell', environment: { type: 'container_auto' } }] }, 'm', { tool: 'shell' }],
    [{ tools: [{ type: 'of next year' }] }, 'm', { tool: 'of next year' }],
    [{ tools: [{ googleSearch: {} }] }, 'm', { tool: 'googleSearch' }],
    [{ web_search_options: {} }, 'm', { param: 'web_search_options' }],
    [{ plugins: [{ id: 'web' }] }, 'm', { param: 'plugins' }],
    [{}, 'gpt-4o-search-preview', { param: 'model' }],
    [{}, 'gpt-4o-mini-search-preview-2025-03-11', { param: 'model' }],
    [{}, 'gpt-5-search-api', { param: 'model' }],
    [{}, 'vendor/model:online', { param: 'model' }],
  ])('is asked for by %j of %s', (body, model, expected) =>
    expect(hostedTool(body as Record<string, unknown>, model)).toMatchObject(expected),
  )

  it.each<[object, string]>([
    [{}, 'gpt-4o'],
    [{ tools: [{ type: 'function', function: { name: 'f' } }, { type: 'custom' }, { type: 'mcp' }] }, 'm'],
    [{ tools: [{ function: { name: 'f' } }, null, 'text'] }, 'm'],
    [{ tools: [{ type: 'shell' }, { type: 'shell', environment: { type: 'local' } }] }, 'm'],
    [{ tools: 'none', web_search_options: null }, 'm'],
    [{}, 'research-preview'],
  ])('is not asked for by %j of %s', (body, model) =>
    expect(hostedTool(body as Record<string, unknown>, model)).toBeUndefined(),
  )

  it('is counted by the items of the answer', () => {
    const billed = [
      { type: 'web_search_call', action: { type: 'search' } },
      { type: 'web_search_call' },
      { type: 'code_interpreter_call' },
      { type: 'shell_call', environment: { type: 'container_reference' } },
      { type: 'of_next_year_call' },
    ]
    const free = [
      { type: 'web_search_call', action: { type: 'open_page' } },
      { type: 'web_search_call', action: { type: 'find_in_page' } },
      ...['function_call', 'custom_tool_call', 'mcp_call', 'local_shell_call', 'message', 'reasoning'].map((type) => ({
        type,
      })),
      { type: 'shell_call', environment: { type: 'local' } },
      { type: 'function_call_output' },
      null,
      'text',
    ]
    expect(billed.filter(isHostedCall)).toEqual(billed)
    expect(free.filter(isHostedCall)).toEqual([])
    expect(hostedCallsIn([...billed, ...free])).toBe(5)
    expect(hostedCallsIn([])).toBeUndefined()
    expect(hostedCallsIn(undefined)).toBeUndefined()
  })
})
