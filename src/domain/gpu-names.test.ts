import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { gpuName, hasGpuWords } from './gpu-names.ts'

test.each([
  ['GeForce RTX 4090', 'RTX 4090'],
  ['RTX_4090', 'RTX 4090'],
  ['NVIDIA H100 80GB HBM3', 'H100 SXM'],
  ['A100-SXM4-80GB', 'A100 SXM4'],
  ['A100 80GB PCIe', 'A100 PCIE'],
  ['H100 PCIe', 'H100 PCIE'],
  ['RTX 4070S Ti', 'RTX 4070 Ti SUPER'],
  ['RTX 6000Ada', 'RTX 6000 Ada'],
  ['B200', 'B200'],
])('%s is called %s', (market, name) => {
  expect(gpuName(market)).toBe(name)
  expect(gpuName(name)).toBe(name)
  expect(hasGpuWords(name, market)).toBe(true)
})

test('what is asked for are whole words of a name', () => {
  expect(hasGpuWords('H100 SXM', 'h100')).toBe(true)
  expect(hasGpuWords('RTX 4090', 'rtx4090')).toBe(true)
  expect(hasGpuWords('RTX 4090', 'GeForce RTX 4090')).toBe(true)
  expect(hasGpuWords('RTX A1000', 'A100')).toBe(false)
  expect(hasGpuWords('RTX 4090', 'RTX 40')).toBe(false)
  expect(hasGpuWords('RTX 4090', '---')).toBe(false)
})

test('every name of the catalogue is found by itself, and names of one squeezed form are one', () => {
  const csv = readFileSync(new URL('../../adapters/sandbox/vast-catalogue.csv', import.meta.url), 'utf8')
  const names = csv
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(',')[0]!)
  expect(names.length).toBeGreaterThan(50)
  for (const name of names) {
    expect(hasGpuWords(gpuName(name), name), name).toBe(true)
    expect(gpuName(gpuName(name)), name).toBe(gpuName(name))
  }
})
