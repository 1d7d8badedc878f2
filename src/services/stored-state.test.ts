import { describe, expect, it } from 'vitest'
import { ApiError } from '../errors.ts'
import { ownNames, refuseStoredState, storeNothing } from './stored-state.ts'

const model = 'gpt-4o'

function refused(body: Record<string, unknown>): string | undefined {
  try {
    refuseStoredState(body)
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError)
    const { code, status, message, options } = error as ApiError
    expect([code, status]).toEqual(['stored_state_unsupported', 400])
    expect(message.startsWith(`${options.param} `)).toBe(true)
    return options.param
  }
  return undefined
}

const input = (part: object) => ({
  model,
  input: [{ role: 'user', content: [{ type: 'input_text', text: 'hi' }, part] }],
})

describe('a reference to state kept at the provider', () => {
  it.each<[object, string]>([
    [{ model, input: 'hi', previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ model, input: 'hi', conversation: 'conv_1' }, 'conversation'],
    [{ model, input: 'hi', conversation: { id: 'conv_1' } }, 'conversation'],
    [{ model, input: 'hi', background: true }, 'background'],
    [{ model, prompt: { id: 'pmpt_1', version: '2' } }, 'prompt.id'],
    [input({ type: 'input_file', file_id: 'file-1' }), 'input[0].content[1].file_id'],
    [input({ type: 'input_image', file_id: 'file-1', detail: 'auto' }), 'input[0].content[1].file_id'],
    [{ model, input: 'hi', tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] }, 'tools[0].vector_store_ids'],
    [
      { model, input: 'hi', tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: ['file-1'] } }] },
      'tools[0].container.file_ids',
    ],
    [{ model, input: [{ type: 'item_reference', id: 'msg_1' }] }, 'input[0].type'],
    [
      { model, messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] },
      'messages[0].content[0].file.file_id',
    ],
    [{ model, file_id: 'file-1' }, 'file_id'],
    [
      { model, input: 'hi', prompt: { variables: { doc: { type: 'input_file', file_id: 'f' } } } },
      'prompt.variables.doc.file_id',
    ],
    [{ model, deep: [[[{ a: [{ file_id: 7 }] }]]] }, 'deep[0][0][0].a[0].file_id'],
    [{ model, messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] }, 'messages[0].audio.id'],
    [{ model, input: 'hi', voice: { id: 'voice_1' } }, 'voice.id'],
    [{ model, audio: { format: 'wav', voice: { id: 'voice_1' } } }, 'audio.voice.id'],
    [{ model, tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }, 'tools[0].container'],
    [
      input({ type: 'x', annotations: [{ container_id: 'cntr_1' }] }),
      'input[0].content[1].annotations[0].container_id',
    ],
    [
      { model, tools: [{ type: 'shell', environment: { skills: [{ skill_id: 'skill_1' }] } }] },
      'tools[0].environment.skills[0].skill_id',
    ],
    [{ model, tools: [{ type: 'mcp', tunnel_id: 'tunnel_1' }] }, 'tools[0].tunnel_id'],
    [{ model, tools: [{ type: 'mcp', connector_id: 'connector_gmail' }] }, 'tools[0].connector_id'],
    [
      { model, prompt_cache_options: { comparison_response_id: 'resp_1' } },
      'prompt_cache_options.comparison_response_id',
    ],
    [{ model, input: [{ id: 'msg_1' }] }, 'input[0].id'],
    [{ model, input: [{ id: 'msg_1', type: null }] }, 'input[0].id'],
    [{ model, input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }, 'input[0].id'],
    [{ model, input: [{ type: 'image_generation_call', id: 'ig_1', result: null }] }, 'input[0].id'],
    [{ model, input: [{ type: 'Item_Reference', id: 'msg_1' }] }, 'input[0].type'],
    [{ model, prompt: [{ id: 'pmpt_1' }] }, 'prompt[0].id'],
    [{ model, conversation: ['conv_1'] }, 'conversation'],
    [{ model, Previous_Response_Id: 'resp_1' }, 'Previous_Response_Id'],
    [{ model, previousResponseId: 'resp_1' }, 'previousResponseId'],
    [{ model, previou\u017f_response_id: 'resp_1' }, 'previou\u017f_response_id'],
    [input({ fileId: 'file-1' }), 'input[0].content[1].fileId'],
    [input({ file_id: ['file-1'] }), 'input[0].content[1].file_id'],
    [{ model, STORE: true }, 'STORE'],
    [{ model, Background: true }, 'Background'],
    [{ model, background: 'true' }, 'background'],
    [{ model, 'prompt[id]': 'pmpt_1' }, 'prompt[id]'],
    [{ model, 'conversation[]': 'conv_1' }, 'conversation[]'],
    [{ model, 'file_ids[]': 'file-1' }, 'file_ids[]'],
    [{ model, 'input[0][file_id]': 'file-1' }, 'input[0][file_id]'],
    [{ model, 'tools.0.container': 'cntr_1' }, 'tools.0.container'],
  ])('%j is refused by its path', (body, path) => {
    expect(refused(body as Record<string, unknown>)).toBe(path)
  })

  it('is named within bounds however long its path is', () => {
    expect(refused({ ['x'.repeat(10_000)]: { file_id: 'f' } })).toHaveLength(200)
  })
})

describe('what refers to nothing', () => {
  it.each<[string, object]>([
    [
      'null, which SDKs send',
      { model, previous_response_id: null, conversation: null, background: null, prompt: null },
    ],
    ['a null within', input({ type: 'input_image', file_id: null, image_url: 'data:,' })],
    ['a prompt that speaks of it', input({ type: 'input_text', text: 'what is {"file_id":"file-1"}?' })],
    ['a list of names', { model, messages: [], tools: [{ required: ['file_id', 'vector_store_ids'] }] }],
    [
      'a tool with a parameter of that name',
      { model, tools: [{ function: { parameters: { type: 'object', properties: { file_id: { type: 'string' } } } } }] },
    ],
    [
      'what a tool was called with',
      { model, messages: [{ tool_calls: [{ function: { arguments: '{"file_id":"a"}' } }] }] },
    ],
    ['the caller’s own tags', { model, messages: [], metadata: { file_id: 'mine' } }],
    ['no background', { model, input: 'hi', background: false }],
    ['the background of an image', { model, prompt: 'a dot', background: 'transparent' }],
    ['a prompt in words', { model, prompt: 'hello' }],
    ['prompts in tokens', { model, prompt: [[1, 2, 3]] }],
    ['a prompt without an id', { model, prompt: { variables: {} } }],
    ['a container that is made for the answer', { model, tools: [{ container: { type: 'auto' } }] }],
    ['a voice by its name', { model, input: 'hi', voice: 'alloy', audio: { voice: 'alloy', format: 'wav' } }],
    [
      'a service that the caller opens',
      { model, tools: [{ type: 'mcp', connector_id: 'connector_gmail', authorization: 'ya29' }] },
    ],
    ['thoughts that come along', { model, input: [{ type: 'reasoning', id: 'rs_1', encrypted_content: 'x' }] }],
    ['thoughts in words', { model, input: [{ type: 'reasoning', id: 'rs_1', content: [{ text: 'hm' }] }] }],
    ['an image that comes along', { model, input: [{ type: 'image_generation_call', id: 'ig_1', result: 'aGk=' }] }],
    ['a message with an id', { model, input: [{ role: 'assistant', id: 'msg_1', content: 'hi' }] }],
    ['a form’s list', { model, 'include[]': 'logprobs', 'timestamp_granularities[]': 'word' }],
    ['an id of another kind', { model, input: [{ type: 'message', id: 'msg_1', role: 'assistant', content: [] }] }],
  ])('passes: %s', (_what, body) => expect(refused(body as Record<string, unknown>)).toBeUndefined())
})

describe('storing', () => {
  it.each<[string, unknown, object]>([
    ['responses', undefined, { store: false }],
    ['responses', null, { store: false }],
    ['responses', true, { store: false }],
    ['responses', false, {}],
    ['chat/completions', undefined, {}],
    ['chat/completions', true, { store: false }],
    ['chat/completions', 'yes', { store: false }],
    ['chat/completions', false, {}],
  ])('%s with store %j changes %j', (endpoint, store, changes) => {
    expect(storeNothing(endpoint, model, { model, ...(store !== undefined && { store }) })).toEqual(changes)
  })

  const sealed = 'reasoning.encrypted_content'
  it.each<[string, Record<string, unknown>, string[] | undefined]>([
    ['gpt-5', {}, [sealed]],
    ['openai/gpt-5.1-codex', { include: null }, [sealed]],
    ['o3-mini', { include: ['file_search_call.results'] }, ['file_search_call.results', sealed]],
    ['mine', { reasoning: { effort: 'low' } }, [sealed]],
    ['gpt-5', { include: [sealed] }, undefined],
    ['gpt-5', { store: false }, undefined],
    ['gpt-5', { include: 'garbage' }, undefined],
    ['gpt-5-chat-latest', {}, undefined],
    ['gpt-4o', {}, undefined],
  ])('%s with %j: thoughts come back sealed where it thinks and nothing is kept', (planned, value, include) => {
    expect(storeNothing('responses', planned, value).include).toEqual(include)
  })

  it('chat without the tags for what is kept', () => {
    const changes = storeNothing('chat/completions', model, { model, store: true, metadata: { run: '7' } })
    expect(changes).toEqual({ store: false, metadata: undefined })
    expect(Object.keys(changes)).toContain('metadata')
    expect(storeNothing('chat/completions', model, { model, metadata: { run: '7' } })).toEqual({})
    expect(storeNothing('responses', model, { model, metadata: { run: '7' } })).toEqual({ store: false })
  })
})

describe('names that a caller gives', () => {
  const names = { prompt_cache_key: 'k', safety_identifier: 's', user: 'u' }
  it('are others for each account, and the same each time', async () => {
    const [one, again, other] = await Promise.all(['a', 'a', 'b'].map((account) => ownNames(account, names)))
    expect(one).toEqual(again)
    const all = [...Object.values(one!), ...Object.values(other!)]
    expect(new Set(all).size).toBe(6)
    for (const name of all) expect(name).toMatch(/^[0-9a-f]{64}$/)
  })

  it('tell the provider that a name is the same one, and nothing where there is none', async () => {
    const { user, safety_identifier } = await ownNames('a', { user: 'x', safety_identifier: 'x' })
    expect(user).toBe(safety_identifier)
    expect(await ownNames('a', { user: null, model })).toEqual({})
  })
})
