import { expect, it } from 'vitest'
import { type FormText, rewriteForm } from './rewrite-form.ts'

const sound = crypto.getRandomValues(new Uint8Array(50_000))
const fields: [string, string | File][] = [
  ['model', 'whisper-1'],
  ['file', new File([sound], 'an "odd" näme.mp3', { type: 'audio/mpeg' })],
  ['timestamp_granularities[]', 'word'],
  ['timestamp_granularities[]', 'segment'],
  ['prompt', 'Größe'],
]

async function written(): Promise<FormText> {
  const form = new FormData()
  for (const [name, value] of fields) form.append(name, value)
  const response = new Response(form)
  return { bytes: new Uint8Array(await response.arrayBuffer()), contentType: response.headers.get('content-type')! }
}

const readBack = ({ bytes, contentType }: FormText) =>
  new Response(bytes as BodyInit, { headers: { 'content-type': contentType } }).formData()

it('a form goes out as it came where nothing must change', async () => {
  const form = await written()
  expect(await rewriteForm(form, {})).toBe(form)
})

it('another text takes the place of the old one, and the rest stays as it was', async () => {
  const form = await written()
  const data = await readBack(await rewriteForm(form, { model: 'whisper-large-v3' }))
  expect([...data.keys()]).toEqual(fields.map(([name]) => name))
  expect(data.getAll('timestamp_granularities[]')).toEqual(['word', 'segment'])
  expect([data.get('model'), data.get('prompt')]).toEqual(['whisper-large-v3', 'Größe'])
  const file = data.get('file') as File
  expect([file.name, file.type]).toEqual(['an "odd" näme.mp3', 'audio/mpeg'])
  expect(new Uint8Array(await file.arrayBuffer())).toEqual(sound)
  // What was asked for is still there for the next target.
  expect((await readBack(form)).get('model')).toBe('whisper-1')
})

it('an undefined field is left out, and a new one comes last', async () => {
  const data = await readBack(await rewriteForm(await written(), { prompt: undefined, language: 'de' }))
  expect([...data.keys()]).toEqual([
    'model',
    'file',
    'timestamp_granularities[]',
    'timestamp_granularities[]',
    'language',
  ])
})
