import { describe, expect, it } from 'vitest'
import { refuseOtherSpellings } from './spellings.ts'

describe('a field that the gateway goes by', () => {
  it.each([
    'Model',
    'MODEL',
    'Service_Tier',
    'Max_Tokens',
    'Tools',
    'N',
    'Prompt',
    'Fallbacks',
    'uſer',
    'prompt_cache_Key',
  ])('is refused where it is spelt %s', (name) => {
    expect(() => refuseOtherSpellings({ model: 'm', [name]: 'x' })).toThrow(
      expect.objectContaining({ code: 'invalid_body', options: expect.objectContaining({ param: name }) }),
    )
  })

  it('is taken as OpenAI spells it, as are fields of other names and whatever stands inside', () => {
    const known = {
      model: 'm',
      service_tier: 'auto',
      n: 1,
      max_tokens: 1,
      tools: [{ Model: 'x' }],
      metadata: { User: 'x' },
    }
    expect(() => refuseOtherSpellings({ ...known, maxTokens: 1, modelName: 'x', Temperature: 1 })).not.toThrow()
  })
})
