/** Against folders that look like the kernel's; against the kernel itself where it lets us. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createGroup } from '../../bench/cgroup.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cgroup-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const files = async (folder: string, contents: Record<string, string>) => {
  await mkdir(folder, { recursive: true })
  for (const [name, text] of Object.entries(contents)) await writeFile(join(folder, name), text)
}
const read = (...path: string[]) => readFile(join(root, ...path), 'utf8')
const pod = { cores: 1, memoryBytes: 1_073_741_824 }

test('version 1: below the own group of each controller', async () => {
  await files(join(root, 'cpu'), {})
  await files(join(root, 'memory/mine'), {})
  const group = await createGroup('pod', pod, { root, own: '4:memory:/mine\n1:cpu,cpuacct:/\n' })
  expect(await read('cpu/pod/cpu.cfs_quota_us')).toBe('100000')
  expect(await read('cpu/pod/cpu.cfs_period_us')).toBe('100000')
  expect(await read('memory/mine/pod/memory.limit_in_bytes')).toBe('1073741824')
  await group.add(42)
  expect([await read('cpu/pod/cgroup.procs'), await read('memory/mine/pod/cgroup.procs')]).toEqual(['42', '42'])
  await files(join(root, 'cpu/pod'), { 'cpu.stat': 'nr_periods 10\nnr_throttled 3\nthrottled_time 5\n' })
  await files(join(root, 'memory/mine/pod'), {
    'memory.usage_in_bytes': '500\n',
    'memory.max_usage_in_bytes': '900\n',
    'memory.stat': 'cache 100\ntotal_inactive_file 80\n',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  })
  expect(await group.usage()).toEqual({ workingSetBytes: 420, peakBytes: 900, oomKills: 2, throttled: 3, periods: 10 })
})

test('version 2: beside the own group, with the controllers that are missing switched on', async () => {
  await files(root, { 'cgroup.controllers': 'cpu memory pids\n' })
  await files(join(root, 'slice'), { 'cgroup.subtree_control': 'memory pids\n' })
  const group = await createGroup('pod', { ...pod, cores: 0.25 }, { root, own: '0::/slice/mine.scope\n' })
  expect(await read('slice/cgroup.subtree_control')).toBe('+cpu')
  expect(await read('slice/pod/cpu.max')).toBe('25000 100000')
  expect(await read('slice/pod/memory.max')).toBe('1073741824')
  expect(group.joinFiles).toEqual([join(root, 'slice/pod/cgroup.procs')])
  await files(join(root, 'slice/pod'), {
    'cpu.stat': 'usage_usec 1\nnr_periods 10\nnr_throttled 3\n',
    'memory.current': '500\n',
    'memory.peak': '900\n',
    'memory.stat': 'anon 100\ninactive_file 80\n',
    'memory.events': 'low 0\noom 2\noom_kill 1\n',
  })
  expect(await group.usage()).toEqual({ workingSetBytes: 420, peakBytes: 900, oomKills: 1, throttled: 3, periods: 10 })
})

test('where none can be made it says so, and leaves nothing', async () => {
  await files(join(root, 'cpu'), {})
  await expect(createGroup('pod', pod, { root, own: '1:cpu:/\n4:memory:/mine\n' })).rejects.toThrow(
    /^no control group with a limit can be made here: .*memory/,
  )
  expect(await readdir(join(root, 'cpu'))).toEqual([])
})

test('the kernel itself: what is started in it is limited and counted, or there is no right to, and it says so', async () => {
  const name = `gpuproxy-test-${process.pid}`
  const group = await createGroup(name, { cores: 0.1, memoryBytes: 268_435_456 }).catch((error: Error) => error)
  if (group instanceof Error) return expect(group.message).toContain('no control group with a limit')
  const enter = group.joinFiles.map((file) => `echo $$ > ${file}`).join(' && ')
  const child = spawn('sh', ['-c', `${enter} && i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; cat`])
  await once(child.stdout, 'data')
  const usage = await group.usage()
  child.stdin.end()
  await once(child, 'exit')
  await group.remove()
  expect(usage.throttled).toBeGreaterThan(0)
  expect(usage.peakBytes).toBeGreaterThan(0)
  expect(usage.oomKills).toBe(0)
})
