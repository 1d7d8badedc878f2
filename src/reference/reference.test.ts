import { expect, test } from 'vitest'
import { openApiDocument } from './openapi.ts'
import { createReference } from './reference.ts'
import { sections } from './route.ts'
import { routes } from './routes.ts'

test('lets others have the event loop after each route and each section, and describes the API once for all who ask', async () => {
  let pauses = 0
  const file = createReference({
    version: '1.2.3',
    async pause() {
      pauses++
    },
  })
  const [json, docs] = await Promise.all([file('openapi.json'), file('docs')])
  expect(pauses).toBe(routes.length + Object.keys(sections).length)
  expect(JSON.parse(new TextDecoder().decode(json.bytes))).toEqual(JSON.parse(JSON.stringify(openApiDocument('1.2.3'))))
  expect(new TextDecoder().decode(docs.bytes)).toContain('1.2.3')
})
