import { describe, expect, it, test } from 'vitest'
import { type Serving, servedNames, servingOf } from './serving.ts'

const served = (model: string, wish = {}) => servingOf(model, wish) as Serving
const optionOf = ({ args }: Serving, option: string) => args[args.indexOf(option) + 1]

describe('a model that is known', () => {
  it('is served from its repository under the name that was asked for', () => {
    const serving = served('llama-3.1-8b')
    expect(serving).toMatchObject({ gpuCount: 1, minVramGb: 24, contextWindow: 16_384 })
    expect(serving.image).toMatch(/:v\d/)
    expect(optionOf(serving, '--model')).toBe('meta-llama/Llama-3.1-8B-Instruct')
    expect(optionOf(serving, '--served-model-name')).toBe('llama-3.1-8b')
    expect(optionOf(serving, '--max-model-len')).toBe('16384')
    expect(serving.args).not.toContain('--tensor-parallel-size')
  })

  it('is the same by its repository, in any case', () => {
    expect(served('QWEN/qwen2.5-7b-instruct')).toMatchObject({ minVramGb: 24, contextWindow: 32_768 })
  })

  it('is spread over as many GPUs as it needs, or as were asked for', () => {
    expect(served('llama-3.3-70b')).toMatchObject({ gpuCount: 4, minVramGb: 48 })
    const onEight = served('llama-3.3-70b', { gpuCount: 8 })
    expect(onEight).toMatchObject({ gpuCount: 8, minVramGb: 24 })
    expect(optionOf(onEight, '--tensor-parallel-size')).toBe('8')
  })

  it('is not put on less memory than it takes', () => {
    expect(served('qwen2.5-7b', { minVramGb: 8 }).minVramGb).toBe(24)
    expect(served('qwen2.5-7b', { minVramGb: 48 }).minVramGb).toBe(48)
  })

  test.each(servedNames)('%s fits on cards that can be had', (name) => {
    const { gpuCount, minVramGb, diskGb } = served(name)
    expect(gpuCount * minVramGb).toBeLessThanOrEqual(8 * 192)
    expect(diskGb).toBeGreaterThan(20)
  })
})

describe('any other repository', () => {
  test.each([
    ['acme/Some-7B-Chat', 1, 21],
    ['acme/Some-70B-Chat', 4, 43],
    ['acme/Some-70B-Chat-AWQ', 1, 55],
    ['acme/Mix-8x7B-v0.1', 2, 70],
    ['acme/no-size', 1, 24],
    ['acme/Small-0.5b', 1, 6],
  ])('%s is given %d GPUs of %d GB', (model, gpuCount, minVramGb) => {
    expect(served(model)).toMatchObject({ gpuCount, minVramGb, contextWindow: undefined })
    expect(optionOf(served(model), '--model')).toBe(model)
  })

  it('is put on what the caller says, who may know better than its name', () => {
    expect(served('acme/Some-7B', { minVramGb: 12, gpuCount: 2 })).toMatchObject({ gpuCount: 2, minVramGb: 12 })
  })
})

test.each(['gpt-4o', '', 'a/b/c', 'acme/Some-7B-GGUF', 'acme/Huge-2000B', '../etc', 'acme/--trust-remote-code x'])(
  '%s cannot be served, and it is said why',
  (model) => {
    expect(servingOf(model)).toEqual(expect.stringMatching(/^(must be one of|is in a format|takes about)/))
  },
)
