import { describe, expect, it } from 'vitest'
import { ApiError } from '../errors.ts'
import { questionOf } from './question.ts'

function refused(body: Record<string, unknown>) {
  try {
    questionOf(body)
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError)
    const { code, message, options } = error as ApiError
    expect(code).toBe('invalid_body')
    expect(message.startsWith(`${options.param}: must be `) || message.startsWith(`${options.param}: must hold `)).toBe(
      true,
    )
    return options.param
  }
  return expect.fail('was not refused')
}

describe('the models of a request', () => {
  it('are the one asked for, then the fallbacks', () => {
    expect(questionOf({ model: 'm' })).toEqual({ models: ['m'], metadata: {}, needs: [] })
    expect(questionOf({ model: 'm', fallbacks: ['n', 'o'] }).models).toEqual(['m', 'n', 'o'])
    expect(questionOf({ model: 'm', fallbacks: null, models: null }).models).toEqual(['m'])
  })

  it('are those of `models`, where it is given', () => {
    expect(questionOf({ models: ['x', 'y'], model: 'm', fallbacks: ['n'] }).models).toEqual(['x', 'y'])
    expect(questionOf({ models: ['x'] }).models).toEqual(['x'])
  })

  const nine = Array.from({ length: 9 }, (_, i) => `m${i}`)
  it('are at most nine in all', () => {
    expect(questionOf({ model: 'm', fallbacks: nine.slice(1) }).models).toHaveLength(9)
    expect(questionOf({ models: nine }).models).toHaveLength(9)
    expect(refused({ model: 'm', fallbacks: nine })).toBe('fallbacks')
    expect(refused({ models: [...nine, 'm'] })).toBe('models')
  })

  it.each([
    [{}, 'model'],
    [{ model: '' }, 'model'],
    [{ model: 7 }, 'model'],
    [{ model: 'x'.repeat(257) }, 'model'],
    [{ model: 'm', fallbacks: 'n' }, 'fallbacks'],
    [{ model: 'm', fallbacks: ['n', 7] }, 'fallbacks.1'],
    [{ model: 'm', models: 'n' }, 'models'],
    [{ model: 'm', models: [] }, 'models'],
    [{ models: [''] }, 'models.0'],
    [{ model: 'm', metadata: 'gold' }, 'metadata'],
    [{ model: 'm', metadata: ['gold'] }, 'metadata'],
    [{ model: 'm', metadata: { tier: 1 } }, 'metadata.tier'],
  ])('of %j are refused, naming the field', (body, param) => {
    expect(refused(body)).toBe(param)
  })
})

describe('what a request needs', () => {
  const content = (...parts: unknown[]) => ({ messages: ['junk', null, { role: 'user', content: parts }] })
  it.each([
    [{ tools: [{}] }, ['tools']],
    [{ functions: [{}] }, ['tools']],
    [{ tools: [] }, []],
    [content({ type: 'text', text: 'image_url' }, null, 'junk'), []],
    [content({ type: 'image_url' }), ['images']],
    [content({ type: 'input_audio' }, { type: 'image_url' }), ['images', 'audio']],
    [{ response_format: { type: 'json_schema' } }, ['json_schema']],
    [{ response_format: { type: 'json_object' } }, []],
    [{ response_format: 'json_schema' }, []],
    [{ messages: 'junk' }, []],
    [
      { input: [{ content: [{ type: 'input_image' }] }], text: { format: { type: 'json_schema' } } },
      ['images', 'json_schema'],
    ],
    [{ input: 'text' }, []],
    [{ input: [{ type: 'function_call_output', output: [{ type: 'input_image' }] }] }, ['images']],
    [{ input: [{ type: 'function_call_output', output: 'input_image' }] }, []],
    [{ modalities: ['text', 'audio'] }, ['audio']],
    [{ modalities: ['text'] }, []],
    [{ modalities: 'audio' }, []],
  ])('is read from %j', (body, needs) => {
    expect(questionOf({ model: 'm', ...body }).needs).toEqual(needs)
  })

  it('is decided with its metadata', () => {
    expect(questionOf({ model: 'm', metadata: { tier: 'gold' } }).metadata).toEqual({ tier: 'gold' })
    expect(questionOf({ model: 'm', metadata: null }).metadata).toEqual({})
  })
})
