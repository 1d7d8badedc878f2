import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadPodId } from './pod-id.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pod-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('stays the same in the same folder, and is another one in another', async () => {
  const dataDir = join(folder, 'data')
  const id = await loadPodId(dataDir)
  expect(await loadPodId(dataDir)).toBe(id)
  expect(await loadPodId(folder)).not.toBe(id)
})

test('is made anew where what is there is no id', async () => {
  await writeFile(join(folder, 'pod-id'), 'torn')
  const id = await loadPodId(folder)
  expect(id).toMatch(/^[0-9a-f-]{36}$/)
  expect(await loadPodId(folder)).toBe(id)
})
