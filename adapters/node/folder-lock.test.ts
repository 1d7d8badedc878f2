import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { takeFolder } from './folder-lock.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'folder-lock-'))
})
afterEach(() => rm(folder, { recursive: true }))

test.each([
  ['left over', { lock: '999999 12345' }],
  ['left over empty', { lock: '' }],
  ['left over by two, the second while it took it over', { lock: '999999 12345', 'lock.next': '999998 1' }],
])('of many who find a lock that is %s one has the folder', async (_, files) => {
  for (let round = 0; round < 20; round++) {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
    const asked = await Promise.allSettled(Array.from({ length: 12 }, () => takeFolder(folder)))
    const releases = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    expect(releases).toHaveLength(1)
    for (const each of asked) {
      if (each.status === 'rejected')
        expect(String(each.reason)).toContain(`is in use by another gateway (pid ${process.pid})`)
    }
    expect(await readdir(folder)).toEqual(['lock'])
    expect(await readFile(join(folder, 'lock'), 'utf8')).toMatch(new RegExp(`^${process.pid} \\d+$`))
    await releases[0]!()
    expect(await readdir(folder)).toEqual([])
  }
})
