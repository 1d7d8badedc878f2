/**
 * Why a bar is missed where it is known to be, and what was tried: printed under the table for the bars that a run has
 * missed, and for no others. Figures and profiles: docs/performance.md, docs/reliability.md and docs/security.md.
 */

export interface Missed {
  /** The target, the section or the row that it is one of. */
  of: string
  name: string
  want: string
  got: string
}

const chat =
  'By the profile of another host, of 170 us a request 55 are what the bare proxy does, 14 garbage collection, 20 the ledger, the rest key, limits, plan, breaker, receipt, metrics and log; no function takes more than 3 %. Tried: one class a request, checks without promises, plain cells for metrics, remembered matches, numbers in receipts, one checksum a group, other sizes of the young generation.'
const ofBench: Record<string, string> = {
  'chat against bare undici': chat,
  'chat against nginx': chat,
  'chat against Portkey': `It spends 420 us, so 12 times it would be bare undici. ${chat}`,
  'health against bare node:http':
    'The app’s request context, routing, metrics and log are half of it. Tried: remembered matches of paths.',
  'offers against bare node:http':
    'A digest of the key, a limit with six headers and a log line are most of what is left. Tried: lists as bytes, remembered queries and answers.',
  'events against bare undici':
    'Supposed: the request costs as much as a small completion, and undici hands on each piece by itself. Tried: events of the usual shape without parsing (5.5 to 3.9 us an event), two generators fewer.',
  'added latency p99 at 1,000 req/s':
    'The collector’s young generation: by V8’s own trace a collection of 15 ms at the mean (46 at most) each 360 requests, of 9 ms each 155 with a pod’s 16 MiB. Tried: 16 MiB (p99 of 13, 13 and 23 ms where V8’s own sizes have 28, 30 and 63; 11, 13 and 64 with one thread), 4 MiB and 1 (39 to 175).',
  'fleet-test':
    'Missed on a host where a request of this kind takes 64 us (20 on the one where it was met): 10,000 a second are two thirds of its core, and the generator itself was late.',
  streams:
    'By V8’s own trace: the collector takes 22 to 37 ms twice a second while streams are opened, and 8 to 18 ms each 0.7 s after that, since 7 KB are allocated for an event that comes alone. Tried: young generations of 16, 4 and 2 MiB (gaps at p99 141, 336 and 391 ms instead of 130), gathering what arrives in a full loop.',
  open: '31 KB of heap and 12 KB outside for a stream; those that are refused come while 247 a second are opened; supposed: the host is too slow for it. Tried: a smaller young generation (-100 MiB), two generators fewer, nothing held that has been said.',
  keys: 'Rounds differ by more than is missed (0.82 to 1.13). Tried: again on another host, 0.99.',
  prompts:
    'A prompt of 400 KB is walked for depth and keys, parsed and searched for references. Tried: the platform’s own search in long strings, bytes that travel on unchanged.',
}

const ofGameday: Record<string, string> = {
  F0: 'Generator, providers, PostgreSQL and Redis share one core: the generator itself is 10 to 30 ms late.',
  F1: 'Missed once, with V8’s own sizes of the young generation, and met with a pod’s by the same code on the same host.',
  F3: 'Supposed: in the seconds in which those who had waited for the silent one come back, on top of the usual load. Tried: newcomers ask others first as soon as nobody has been answered for long (+780 to -14 and +28 ms).',
  F4: 'At nine tenths of the core an answer has a p99 of 40 to 66 ms, and a refusal waits for its turn as well; the generator is 16 to 26 ms late. Tried: a pod’s options of the collector (62 to 43 ms).',
  F6: 'Supposed: at nine tenths of the core what a closed gate adds (a refusal, a second target) is what was left of it. Tried: a pod’s options of the collector (+137 to -14 ms on one host).',
  F8: 'Supposed: the host did less than when it was measured some rows before, so that nine tenths were too much for it: refused as `overloaded` also after the fault, the generator 89 to 140 ms late. Tried: a pod’s options of the collector (97.9 to 98.6 %).',
  F9: 'Met in the last two runs. When a stalled Redis added 13 ms, commands had waited out their 100 ms until the circuit opened, as is supposed.',
  F13: 'Three times its capacity of streams in bursts: a stream that is accepted shares the core with all others. Where a core does a thousand, three times that is more than the provider does, and the other core is what is full. Tried: docs/resilience.md, and who is refused does not come in (51 to 66 %, p99 31 to 11 s on that host).',
  F14: 'Supposed: a gateway that starts takes half a second of the core that all four share, and the load goes to it cold. Tried: compiled sources and the gateways’ own core for the start, which was on the generator’s (+80 and +386 ms instead of +1.2 s).',
  F16: 'Missed once by 1.2 ms, on a host that did half of what it usually does. Not looked into.',
  F17: 'Missed in all three runs on a slow host, met on others; supposed: three processes and five hundred callers share two cores. Tried: a pod’s options of the collector (359 and 430 ms).',
  F19: 'By profile lines of ten megabytes nine times a second take some 20 ms each, of which 8 MB are read until it is too long, and 74 endless streams speak a hundred times a second: what is not poisoned waits for them. Tried: not asking again for what was too large, and counting answers that came as a whole before calling an upstream overloaded (33 to 100 % answered). Supposed: where the host does less than when it was measured, `overloaded` comes on top (96 % answered at p99 +353 ms).',
  F20: 'As F14, with a provider and Redis gone at the same time. Tried: as there (98.6 to 100 % answered, +752 to +314 ms).',
}

const ofSecurity: Record<string, string> = {
  'Slow headers, bodies and readers':
    'With V8’s own sizes of the young generation a p99 of 18 to 25 ms beside the slow and 6 to 7 without, from run to run; with a pod’s 137 and 25 once. By their times what is late comes in the first second, in which 160 readers are sent 600 MB until the buffers of the kernel are full, and where 170 are cut at once. Tried: one pipelined request in a turn of the loop (83 to 844 ms before), pages one in a turn (no gain), a thread of their own for the slow.',
}

export const explainBench = (missed: readonly Missed[]) => explain(missed, ofBench, 'docs/performance.md')
export const explainGameday = (missed: readonly Missed[]) => explain(missed, ofGameday, 'docs/reliability.md')
export const explainSecurity = (missed: readonly Missed[]) => explain(missed, ofSecurity, 'docs/security.md')

/** A line for each bar, and what is known of each of its kind once. Empty where all are met. */
function explain(missed: readonly Missed[], known: Readonly<Record<string, string>>, where: string): string {
  if (missed.length === 0) return ''
  const lines = [...Map.groupBy(missed, ({ of }) => of)].flatMap(([of, all]) => [
    ...all.map(({ name, want, got }) => `${of}: ${name === of ? '' : `${name}: `}${got}, wanted ${want}`),
    `    ${known[of] ?? `Not explained yet; it was not missed in the runs of ${where}.`}`,
  ])
  return `\nMissed, and why (more in ${where}):\n${lines.join('\n')}`
}
