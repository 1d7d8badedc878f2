/**
 * A control group of this run's own, as the kubelet makes one for a container: a quota of CPU time and a limit of memory.
 * Version 1 has a tree for each controller and makes the group below the run's own; version 2 has one tree, in which
 * groups stand beside the run's own, since one that holds processes may not have controlled children.
 * https://docs.kernel.org/admin-guide/cgroup-v1/, https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface Limits {
  cores: number
  memoryBytes?: number
  /** How often the quota is given anew. @default that of Kubernetes */
  periodUs?: number
}

export interface GroupUsage {
  /** What the kubelet calls the working set: without the pages of files that can be dropped at once. */
  workingSetBytes: number
  peakBytes: number
  oomKills: number
  /** Periods in which the quota was used up, of all. */
  throttled: number
  periods: number
}

export interface ControlGroup {
  /** A process that writes its id into each of these is in it, with all that it starts from then on. */
  readonly joinFiles: readonly string[]
  /** Moves a running process with all its threads; what it started before stays where it was. */
  add(pid: number): Promise<void>
  /** Of a group with a memory limit. */
  usage(): Promise<GroupUsage>
  /** When its last process has ended or left. */
  remove(): Promise<void>
}

/** Where the kernel shows them. Another one in tests. */
export interface Places {
  root: string
  /** /proc/self/cgroup */
  own: string
}

/** @throws Error that says what is missing: the right to make one, or a controller. */
export async function createGroup(name: string, limits: Limits, places?: Places): Promise<ControlGroup> {
  const { root, own } = places ?? { root: '/sys/fs/cgroup', own: await readFile('/proc/self/cgroup', 'utf8') }
  try {
    return (await exists(join(root, 'cgroup.controllers')))
      ? await version2(name, limits, root, own)
      : await version1(name, limits, root, own)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`no control group with a limit can be made here: ${reason}`, { cause })
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

async function version1(name: string, limits: Limits, root: string, own: string): Promise<ControlGroup> {
  const { cores, memoryBytes, periodUs = 100_000 } = limits
  const folder = (controller: string) => join(root, controller, ownPath(own, controller), name)
  const [cpu, memory] = [folder('cpu'), memoryBytes === undefined ? undefined : folder('memory')]
  const folders = memory === undefined ? [cpu] : [cpu, memory]
  await makeAll(folders)
  return prepared(folders, async () => {
    await writeFile(join(cpu, 'cpu.cfs_period_us'), String(periodUs))
    await writeFile(join(cpu, 'cpu.cfs_quota_us'), String(Math.round(periodUs * cores)))
    if (memory !== undefined) await writeFile(join(memory, 'memory.limit_in_bytes'), String(memoryBytes))
    return group(folders, async () => {
      const stat = await table(join(cpu, 'cpu.stat'))
      const read = (file: string) => readFile(join(memory!, file), 'utf8').then(Number)
      const [of, oom] = [await table(join(memory!, 'memory.stat')), await table(join(memory!, 'memory.oom_control'))]
      return {
        workingSetBytes: (await read('memory.usage_in_bytes')) - (of.total_inactive_file ?? 0),
        peakBytes: await read('memory.max_usage_in_bytes'),
        oomKills: oom.oom_kill ?? 0,
        throttled: stat.nr_throttled ?? 0,
        periods: stat.nr_periods ?? 0,
      }
    })
  })
}

async function version2(name: string, limits: Limits, root: string, own: string): Promise<ControlGroup> {
  const { cores, memoryBytes, periodUs = 100_000 } = limits
  const parent = join(root, dirname(ownPath(own, '')))
  const wanted = memoryBytes === undefined ? ['cpu'] : ['cpu', 'memory']
  const control = join(parent, 'cgroup.subtree_control')
  const given = (await readFile(control, 'utf8')).trim().split(/\s+/)
  const missing = wanted.filter((controller) => !given.includes(controller))
  if (missing.length > 0) await writeFile(control, missing.map((controller) => `+${controller}`).join(' '))
  const folder = join(parent, name)
  await makeAll([folder])
  return prepared([folder], async () => {
    await writeFile(join(folder, 'cpu.max'), `${Math.round(periodUs * cores)} ${periodUs}`)
    if (memoryBytes !== undefined) await writeFile(join(folder, 'memory.max'), String(memoryBytes))
    return group([folder], async () => {
      const [stat, of, events] = [
        await table(join(folder, 'cpu.stat')),
        await table(join(folder, 'memory.stat')),
        await table(join(folder, 'memory.events')),
      ]
      const read = (file: string) => readFile(join(folder, file), 'utf8').then(Number)
      return {
        workingSetBytes: (await read('memory.current')) - (of.inactive_file ?? 0),
        peakBytes: await read('memory.peak'),
        oomKills: events.oom_kill ?? 0,
        throttled: stat.nr_throttled ?? 0,
        periods: stat.nr_periods ?? 0,
      }
    })
  })
}

/** Lines of `id:controller,…:path`; in version 2 there is one, without controllers. */
function ownPath(own: string, controller: string): string {
  const lines = own.split('\n').map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
  return lines.find((line) => line?.[1]?.split(',').includes(controller))?.[2] ?? '/'
}

async function makeAll(folders: readonly string[]): Promise<void> {
  const made: string[] = []
  try {
    for (const folder of folders) {
      await mkdir(folder)
      made.push(folder)
    }
  } catch (error) {
    await removeAll(made)
    throw error
  }
}

/** A group that could not be given its limits is none. */
async function prepared(folders: readonly string[], prepare: () => Promise<ControlGroup>): Promise<ControlGroup> {
  try {
    return await prepare()
  } catch (error) {
    await removeAll(folders)
    throw error
  }
}

const removeAll = async (folders: readonly string[]) => {
  for (const folder of folders) await rmdir(folder)
}

function group(folders: readonly string[], usage: ControlGroup['usage']): ControlGroup {
  const joinFiles = folders.map((folder) => join(folder, 'cgroup.procs'))
  return {
    joinFiles,
    async add(pid) {
      for (const file of joinFiles) await writeFile(file, String(pid))
    },
    usage,
    remove: () => removeAll(folders),
  }
}

/** Lines of a name and a number. */
async function table(path: string): Promise<Record<string, number | undefined>> {
  const lines = (await readFile(path, 'utf8')).trim().split('\n')
  return Object.fromEntries(lines.map((line) => line.split(' ')).map(([name, value]) => [name, Number(value)]))
}
