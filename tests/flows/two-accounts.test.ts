/**
 * Two accounts share one credential at the provider. What one of them has left there, or would have, the other reaches
 * through no field of any body, however it is spelled, nested or repeated.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endpoints } from '../../src/providers/endpoints.ts'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'
import { type RecordingProvider, startRecordingProvider } from '../support/recording-provider.ts'

let provider: RecordingProvider
let gateway: TestGateway
const otherKey = 'ak_live_testtesttesttesttesttest0002'
/** Stands in whatever names what account A has at the provider. */
const ofA = 'kept-for-account-a'

beforeAll(async () => {
  provider = await startRecordingProvider()
  const price = { input_per_million: 1, output_per_million: 1, per_image: 1, per_minute: 1, per_million_characters: 1 }
  gateway = await startTestGateway({
    routing: () => ({
      providers: { recording: { kind: 'openai', base_url: provider.baseUrl } },
      models: { '*': { targets: [{ provider: 'recording' }], price } },
    }),
  })
  gateway.accounts.add(otherKey, {
    accountId: '00000000-0000-7000-8000-00000000000b',
    keyId: '00000000-0000-7000-8000-00000000001b',
    role: 'user',
    scopes: ['inference'],
    limits: { key: {}, account: {} },
  })
})
afterAll(async () => {
  await gateway.close()
  provider.close()
})

const bodies = {
  'chat/completions': { model: 'm', messages: [{ role: 'user', content: 'hi' }] },
  completions: { model: 'm', prompt: 'hi' },
  embeddings: { model: 'm', input: 'hi' },
  responses: { model: 'm', input: [{ role: 'user', content: 'hi' }] },
  moderations: { model: 'm', input: 'hi' },
  'images/generations': { model: 'm', prompt: 'a dot' },
  'audio/speech': { model: 'm', input: 'hi', voice: 'alloy' },
}
const jsonEndpoints = Object.keys(bodies) as (keyof typeof bodies)[]
const forms = ['audio/transcriptions', 'audio/translations'] as const
test('every endpoint is walked', () => {
  expect([...jsonEndpoints, ...forms].sort()).toEqual(Object.keys(endpoints).sort())
})

type Value = unknown
interface Said {
  status: number
  code: string | undefined
  param: string | undefined
}

async function said(response: Response): Promise<Said> {
  const text = await response.text()
  const error = response.status === 400 ? JSON.parse(text).error : undefined
  return { status: response.status, code: error?.code, param: error?.param }
}
const ask = async (endpoint: string, text: string, key = otherKey) =>
  said(await gateway.post(`/v1/${endpoint}`, text, { headers: { authorization: `Bearer ${key}` } }))

/** The first of the two holds for all: a refusal that names a field, or an answer to which nothing of A's went out. */
async function reachesNothing(what: string, answering: Promise<Said>): Promise<Said> {
  const before = provider.calls.length
  const answer = await answering
  if (answer.status === 400) {
    // What is none of the endpoint's bodies is said first.
    if (answer.code !== 'invalid_body') expect([what, answer.code]).toEqual([what, 'stored_state_unsupported'])
    expect(answer.param, what).toBeTruthy()
    expect(provider.calls.length, what).toBe(before)
  } else {
    expect([what, answer.status]).toEqual([what, 200])
    expect(provider.calls.length, what).toBe(before + 1)
    expect(provider.calls.at(-1)!.body, what).not.toContain(ofA)
  }
  return answer
}

/** Fields of OpenAI's reference by which something kept is named. */
const anywhere = [
  ...['file_id', 'file_ids', 'vector_store_ids', 'container_id', 'container', 'skill_id', 'tunnel_id', 'connector_id'],
  ...['comparison_response_id', 'previous_response_id'],
]
const atTop = ['previous_response_id', 'conversation']
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
const spellings = (name: string) => [
  ...new Set([
    name,
    name.toUpperCase(),
    camel(name),
    name[0]!.toUpperCase() + name.slice(1),
    name.replaceAll('_', '-'),
  ]),
]
const values: Value[] = [ofA, [ofA]]

/** Where OpenAI's own bodies have such fields. */
const places: Record<string, (fields: object) => object> = {
  'a part of a message': (fields) => ({ messages: [{ role: 'user', content: [{ type: 'file', file: fields }] }] }),
  'a part of an item': (fields) => ({ input: [{ role: 'user', content: [{ type: 'input_file', ...fields }] }] }),
  'what a computer showed': (fields) => ({ input: [{ type: 'computer_call_output', output: fields }] }),
  'a tool': (fields) => ({ tools: [{ type: 'file_search', ...fields }] }),
  'a tool’s surroundings': (fields) => ({ tools: [{ type: 'shell', environment: fields }] }),
  'a list of skills': (fields) => ({ tools: [{ environment: { skills: [{ type: 'skill_reference', ...fields }] } }] }),
  'a mask': (fields) => ({ tools: [{ type: 'image_generation', input_image_mask: fields }] }),
  'a prompt’s variables': (fields) => ({ prompt: { variables: { document: fields } } }),
  'a field nobody knows': (fields) => ({ extra_body: [[{ deep: fields }]] }),
}
/** Objects that stand for something kept by their id, and their like. */
const objects: Record<string, object> = {
  'an audio answer': { messages: [{ role: 'assistant', audio: { id: ofA } }] },
  'a made voice': { voice: { id: ofA } },
  'a made voice of a chat': { audio: { format: 'wav', voice: { id: ofA } } },
  'a prompt': { prompt: { id: ofA, version: '1' } },
  prompts: { prompt: [{ id: ofA }] },
  'an item': { input: [{ type: 'item_reference', id: ofA }] },
  'an item without a type': { input: [{ id: ofA }] },
  'an item whose type is null': { input: [{ type: null, id: ofA }] },
  thoughts: { input: [{ type: 'reasoning', id: ofA, summary: [] }] },
  'an image': { input: [{ type: 'image_generation_call', id: ofA }] },
}

describe.each(jsonEndpoints)('/v1/%s:', (endpoint) => {
  const body = bodies[endpoint]
  /** A place that the endpoint's own check does not take is not one of its bodies. */
  const fits = (fields: object) => {
    const text = { ...body, ...fields } as Record<string, unknown>
    const own = body as Record<string, unknown>
    for (const name of ['messages', 'prompt', 'input', 'voice']) {
      if (name in own && typeof own[name] === 'string' && !Array.isArray(text[name])) text[name] = own[name]
    }
    return JSON.stringify(text).includes(ofA) ? text : undefined
  }

  test('no field that names something kept goes out, wherever it stands and however it is spelled', async () => {
    let refused = 0
    for (const name of anywhere.flatMap(spellings)) {
      for (const value of values) {
        for (const [place, put] of Object.entries(places)) {
          const fields = fits(put({ [name]: value }))
          if (!fields) continue
          const answer = await reachesNothing(`${name} in ${place}`, ask(endpoint, JSON.stringify(fields)))
          expect(answer.status, `${name} in ${place}`).toBe(400)
          if (answer.code === 'stored_state_unsupported') refused++
        }
        await reachesNothing(name, ask(endpoint, JSON.stringify({ ...body, [name]: value })))
      }
    }
    expect(refused).toBeGreaterThan(100)
  })

  test('nor one that does so at the top', async () => {
    for (const name of atTop.flatMap(spellings)) {
      for (const value of [...values, { id: ofA }]) {
        const answer = await reachesNothing(name, ask(endpoint, JSON.stringify({ ...body, [name]: value })))
        expect([answer.status, answer.param]).toEqual([400, name])
      }
    }
  })

  test('nor an object that is known by its id', async () => {
    for (const [what, object] of Object.entries(objects)) {
      const fields = fits(object)
      if (fields) expect((await reachesNothing(what, ask(endpoint, JSON.stringify(fields)))).status, what).toBe(400)
    }
  })

  test('nor the one of two fields with one name that was not looked at', async () => {
    const front = JSON.stringify(body).slice(0, -1)
    for (const name of [...anywhere, ...atTop]) {
      for (const twice of [`"${name}":"${ofA}","${name}":null`, `"${name}":null,"${name}":"${ofA}"`]) {
        await reachesNothing(twice, ask(endpoint, `${front},${twice}}`))
        if (anywhere.includes(name)) await reachesNothing(twice, ask(endpoint, `${front},"extra":[{"in":{${twice}}}]}`))
      }
    }
  })

  test('names that A gives are not those that B gives, though they are the same', async () => {
    for (const name of ['prompt_cache_key', 'safety_identifier', 'user']) {
      const text = JSON.stringify({ ...body, [name]: ofA })
      const sent: unknown[] = []
      for (const key of [testKey, otherKey, otherKey]) {
        await reachesNothing(name, ask(endpoint, text, key))
        sent.push(JSON.parse(provider.calls.at(-1)!.body)[name])
      }
      expect(sent[0]).toMatch(/^[0-9a-f]{64}$/)
      expect(sent[1]).not.toBe(sent[0])
      expect(sent[2]).toBe(sent[1])
    }
  })

  test('nothing is left there', async () => {
    const front = JSON.stringify(body).slice(0, -1)
    for (const more of [
      '',
      ',"store":true',
      ',"store":null',
      ',"store":"true"',
      ',"store":true,"store":false',
      ',"store":[1]',
    ]) {
      expect((await ask(endpoint, `${front}${more}}`, testKey)).status).toBe(200)
    }
    for (const more of [
      ',"background":true',
      ',"background":"true"',
      ',"Store":true',
      ',"STORE":"yes"',
      ',"Background":1',
    ]) {
      await reachesNothing(more, ask(endpoint, `${front}${more}}`, testKey))
    }
    expect(provider.kept).toEqual([])
  })
})

describe.each(forms)('/v1/%s:', (endpoint) => {
  async function send(fields: [string, string | File][]) {
    const form = new FormData()
    form.set('model', 'm')
    form.set('file', new File(['sound'], 'a.mp3'))
    for (const [name, value] of fields) form.append(name, value)
    const headers = { authorization: `Bearer ${otherKey}` }
    return said(await fetch(`${gateway.url}/v1/${endpoint}`, { method: 'POST', headers, body: form }))
  }

  test('no field names something kept, in brackets, twice or as a file', async () => {
    for (const name of [...anywhere, ...atTop].flatMap(spellings)) {
      for (const field of [name, `${name}[]`, `${name}[0]`, `tools[0][${name}]`, `extra.${name}`]) {
        for (const fields of [
          [[field, ofA]],
          [
            [field, ofA],
            [field, ''],
          ],
          [[field, new File([ofA], 'a')]],
        ] as [string, string | File][][]) {
          const { status, param } = await reachesNothing(field, send(fields))
          expect([status, param]).toEqual([400, field])
        }
      }
    }
    for (const name of ['prompt[id]', 'voice[id]', 'audio.id', 'input[0][id]']) {
      expect((await reachesNothing(name, send([[name, ofA]]))).param).toBe(name)
    }
  })

  test('names are its own, and nothing is left there', async () => {
    const sent = await send([
      ['user', ofA],
      ['user', ofA],
      ['prompt_cache_key', ofA],
      ['store', 'true'],
    ])
    expect(sent.status).toBe(200)
    expect(provider.calls.at(-1)!.body).not.toContain(ofA)
    expect(provider.kept).toEqual([])
    expect((await send([['background', 'true']])).code).toBe('stored_state_unsupported')
    for (const name of ['store', 'background']) {
      const twice = await send([
        [name, 'true'],
        [name, 'false'],
      ])
      expect([twice.status, twice.param]).toEqual([400, name])
    }
  })
})

/** A field that OpenAI adds is found when its SDK is updated. */
test('every field of the SDK that ends in an id is refused, or names something within the body itself', () => {
  const withinTheBody = ['approval_request_id', 'call_id', 'caller_id', 'tool_call_id']
  const ofAnswers = ['item_id', 'segment_id', 'stream_id']
  const folder = join(import.meta.dirname, '../../node_modules/openai/resources')
  const files = [
    ...['responses/responses', 'chat/completions/completions', 'completions', 'embeddings', 'moderations', 'images'],
    ...['audio/speech', 'audio/transcriptions', 'audio/translations'],
  ]
  const names = new Set(
    files.flatMap((file) =>
      [...readFileSync(join(folder, `${file}.d.ts`), 'utf8').matchAll(/^\s+(\w+_ids?)\??:/gm)].map(([, name]) => name!),
    ),
  )
  expect([...names].sort()).toEqual(
    [...new Set([...anywhere, ...withinTheBody, ...ofAnswers])].filter((name) => /_ids?$/.test(name)).sort(),
  )
})
