import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { HttpFailure } from '../ports.ts'
import type { StreamedAnswer, WholeAnswer } from '../providers/openai.ts'
import type { StreamEvent } from '../providers/openai-stream.ts'
import type { Answer, GuardedCall, GuardedCallOptions, Target } from '../upstream/guarded-call.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { relayStream, type Source } from './relay-stream.ts'
import { createRescue, sourceOf } from './rescue.ts'
import type { Choice } from './router.ts'
import { TranscriptMemory } from './transcript.ts'

type Body = Record<string, unknown>
/** What a target does when it is asked: it streams (a delay in ms, an event or an error each), judges, or fails. */
type Play = (string | object | Error | number)[] | { status: number } | 'fails' | 'is a bug'

const word = (content: string) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })
const finish = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
const cut = new HttpFailure('cut')
const silence = new HttpFailure('idle_timeout')
const whole = { kind: 'whole', status: 400, contentType: 'application/json', body: new Uint8Array() } as WholeAnswer

/** Targets in order; each is given its plays, one for each time it is asked. */
function world(
  targets: { plays: Play[]; prefill?: Body; pace?: number; delayMs?: number; maxSilenceMs?: number }[],
  { body = { messages: [] } as Body, readMs = 0 } = {},
) {
  const clock = new FakeClock()
  const memory = new TranscriptMemory(1_000_000)
  const asked: { at: number; fields: Body; again: boolean }[] = []
  const held = new Set<string>()
  const strikes: string[] = []
  const told: string[] = []
  const aborted: string[] = []
  let number = 0
  const caller = new AbortController()

  async function* stream(play: Extract<Play, unknown[]>): AsyncGenerator<StreamEvent[], void, void> {
    for (const step of play) {
      if (typeof step === 'number') await new Promise<void>((resolve) => clock.setTimer(step, resolve))
      else if (step instanceof Error) throw step
      else if (step === '[DONE]') yield [{ kind: 'done' }]
      else if (typeof step === 'string') yield [{ kind: 'error', text: step, error: JSON.parse(step).error }]
      else yield [{ kind: 'chunk', text: JSON.stringify(step), chunk: step }]
    }
  }

  const delays = targets.map(({ delayMs }) => delayMs)
  const choices = targets.map(({ prefill, pace }, i): Choice => {
    const circuit = { name: `c${i}` }
    return {
      provider: { name: `p${i}`, upstream: { circuit: () => circuit } },
      planned: { model: 'm', row: { prefill, timeouts: { minTokensPerSecond: pace } } },
    } as unknown as Choice
  })
  const targetOf = (choice: Choice, fields: Body) =>
    ({ at: choices.indexOf(choice), fields, circuit: choice.provider.upstream.circuit('m') }) as unknown as Target<
      WholeAnswer | StreamedAnswer
    >

  const answerOf = (target: Target<WholeAnswer | StreamedAnswer>, play: Exclude<Play, string>) => {
    const { at } = target as unknown as { at: number }
    const id = `${at}#${++number}`
    held.add(id)
    return {
      target,
      attempt: { number, last: at === targets.length - 1 },
      value: Array.isArray(play)
        ? { kind: 'stream', begun: [], rest: stream(play), maxSilenceMs: targets[at]!.maxSilenceMs ?? 120_000 }
        : { ...whole, status: play.status },
      hold: {
        release: () => void held.delete(id),
        failed: () => void strikes.push(id),
        abort: () => void aborted.push(id),
      },
    } as Answer<WholeAnswer | StreamedAnswer>
  }
  const guardedCall = (async (candidates: readonly Target<WholeAnswer | StreamedAnswer>[]) => {
    for (const target of candidates) {
      const { at, fields, again } = target as unknown as { at: number; fields: Body; again: boolean }
      asked.push({ at, fields, again })
      const play = number < 6 ? targets[at]!.plays.shift() : undefined
      if (play === 'is a bug') throw new TypeError('a bug')
      if (delays[at]) await new Promise<void>((resolve) => clock.setTimer(delays[at]!, resolve))
      if (play && play !== 'fails') return answerOf(target, play)
    }
    throw new UpstreamFailure('server')
  }) as GuardedCall

  const refusesPrefill = new WeakSet()
  const rescue = createRescue({
    guardedCall,
    calls: {} as GuardedCallOptions,
    choices,
    body,
    targetOf,
    refusesPrefill,
  })
  const first = answerOf(targetOf(choices[0]!, {}), targets[0]!.plays.shift() as [])
  let at = 0
  const stream0 = relayStream(sourceOf(choices[0]!, first.value as StreamedAnswer, first), {
    clock,
    signal: caller.signal,
    wantsUsage: true,
    choices: 1,
    memory,
    async rescue(transcript, broken): Promise<Source | undefined> {
      const next = await rescue(transcript, at, broken)
      at = next?.at ?? at
      return next?.source
    },
    onMalformed() {},
    onInterrupted: (provider, rescued) => void told.push(`${provider} ${rescued}`),
    onEnd: () => void told.push('end'),
  })
  let text = ''
  const reading = (async () => {
    for (let next = await stream0.next(); !next.done; next = await stream0.next()) {
      text += next.value
      if (readMs > 0) await new Promise<void>((resolve) => clock.setTimer(readMs, resolve))
    }
  })()
  return {
    clock,
    caller,
    asked,
    held,
    strikes,
    told,
    aborted,
    memory,
    reading,
    isKnownToRefuse: (i: number) => refusesPrefill.has(choices[i]!.provider.upstream.circuit('m')),
    /** The reader goes away. */
    leave: () => stream0.return(undefined),
    heard: () => text,
    /** The answer as a reader puts it together. */
    async read() {
      for (let i = 0; i < 100; i++) await clock.advance(1_000)
      await reading
      const events = text.split('\n\n').filter((event) => event.startsWith('data: '))
      const datas = events.map((event) => event.slice(6))
      const chunks = datas.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data))
      expect(held.size).toBe(0)
      expect(memory.chars).toBe(0)
      expect(clock.pendingTimers).toBe(0)
      return {
        text: chunks.map(({ choices: [choice] = [] }) => choice?.delta?.content ?? '').join(''),
        done: datas.at(-1) === '[DONE]',
        error: chunks.at(-1)?.error?.code as string | undefined,
        beats: text.split('\n\n').filter((event) => event === ': keep-alive').length,
      }
    },
  }
}

const good = { text: 'one two three', done: true, error: undefined }
const begun = [word('one'), word(' two')]
const again = [...begun, word(' three'), finish, '[DONE]']

describe('an answer that broke off', () => {
  it('is begun anew by the next target, which is not told to continue', async () => {
    const w = world([{ plays: [[...begun, cut]] }, { plays: [again] }])
    expect(await w.read()).toMatchObject(good)
    expect(w.asked).toEqual([{ at: 1, fields: {}, again: false }])
    expect(w.told).toEqual(['p0 restart', 'end'])
    expect(w.strikes).toEqual(['0#1'])
  })

  it('is continued by a target that can', async () => {
    const w = world([{ plays: [[...begun, cut]] }, { plays: [[word(' three'), finish]], prefill: { flag: 1 } }])
    expect(await w.read()).toMatchObject(good)
    expect(w.asked[0]!.fields).toEqual({ messages: [{ role: 'assistant', content: 'one two' }], flag: 1 })
    expect(w.told).toEqual(['p0 prefill', 'end'])
  })

  it('is begun anew by a target that refuses to continue, and is not asked that again', async () => {
    const w = world([{ plays: [[...begun, cut]] }, { plays: [{ status: 400 }, again], prefill: {} }])
    expect(await w.read()).toMatchObject(good)
    expect(w.asked).toMatchObject([
      { at: 1, again: false, fields: { messages: [{}] } },
      { at: 1, again: true, fields: {} },
    ])
    expect(w.asked[1]!.fields).toEqual({})
    expect(w.isKnownToRefuse(1)).toBe(true)
  })

  it('that a target refuses however it is asked says nothing of whether it continues others', async () => {
    const refusals = [{ status: 400 }, { status: 400 }]
    const w = world([{ plays: [[...begun, cut]] }, { plays: refusals, prefill: {} }, { plays: [again] }])
    expect(await w.read()).toMatchObject(good)
    expect(w.asked.map(({ at }) => at)).toEqual([1, 1, 2])
    expect(w.isKnownToRefuse(1)).toBe(false)
  })

  it('is asked of the target after one that says something else, which is no evidence against that one', async () => {
    const w = world([{ plays: [[...begun, cut]] }, { plays: [[word('uno'), finish]] }, { plays: [again] }])
    expect(await w.read()).toMatchObject(good)
    expect(w.asked.map(({ at }) => at)).toEqual([1, 2])
    expect(w.strikes).toEqual(['0#1'])
  })

  it('is not asked again of one that says something else', async () => {
    const w = world([{ plays: [[...begun, silence]] }, { plays: [[word('uno'), finish], again] }])
    expect(await w.read()).toMatchObject({ text: 'one two', done: false })
    expect(w.asked.map(({ at }) => at)).toEqual([1])
  })

  it('is joined on in the way of the target that answers, not of one that failed before', async () => {
    const w = world([{ plays: [[...begun, cut]] }, { plays: ['fails'], prefill: {} }, { plays: [again] }])
    expect(await w.read()).toMatchObject(good)
    expect(w.told).toEqual(['p0 restart', 'end'])
  })

  it('is not gone on with past a mistake of ours, and everything is given back', async () => {
    const w = world([{ plays: [[...begun, cut]] }, { plays: ['is a bug'] }])
    w.reading.catch(() => {})
    await w.clock.advance(1)
    await expect(w.reading).rejects.toThrow('a bug')
    expect(w.held.size).toBe(0)
    expect(w.told).toEqual(['end'])
  })

  it('is asked of the target after one that refuses the request', async () => {
    const w = world([{ plays: [[...begun, cut]] }, { plays: [{ status: 404 }] }, { plays: [again] }])
    expect(await w.read()).toMatchObject(good)
    expect(w.asked.map(({ at }) => at)).toEqual([1, 2])
  })

  it('of a text completion is asked of the target after one that refuses the request, too', async () => {
    const text = (piece: string) => ({ choices: [{ index: 0, text: piece, finish_reason: null }] })
    const w = world(
      [{ plays: [[text('one'), cut]] }, { plays: [{ status: 404 }] }, { plays: [[text(' two'), finish, '[DONE]']] }],
      { body: { prompt: 'count: ' } },
    )
    expect(await w.read()).toMatchObject({ done: true, error: undefined })
    expect(w.asked).toMatchObject([
      { at: 1, fields: { prompt: 'count: one' } },
      { at: 2, fields: { prompt: 'count: one' } },
    ])
  })

  it('may break twice', async () => {
    const w = world([
      { plays: [[word('one'), cut]] },
      { plays: [[word('one'), word(' two'), silence]] },
      { plays: [again] },
    ])
    expect(await w.read()).toMatchObject(good)
    expect(w.told).toEqual(['p0 restart', 'p1 restart', 'end'])
  })

  it('is asked of the same target once more where no other is left and it was only cut', async () => {
    const w = world([{ plays: [[...begun, cut], again] }])
    expect(await w.read()).toMatchObject(good)
    expect(w.asked).toEqual([{ at: 0, fields: {}, again: true }])
  })

  it('is not asked of the same target where that fell silent', async () => {
    const w = world([{ plays: [[...begun, silence], again] }])
    expect(await w.read()).toMatchObject({ text: 'one two', done: false, error: 'stream_idle_timeout' })
    expect(w.asked).toEqual([])
    expect(w.told).toEqual(['p0 no', 'end'])
  })

  it.each<[string, Play[]]>([
    ['fails', ['fails']],
    ['refuses', [{ status: 400 }]],
    ['says something else', [[word('uno'), finish]]],
    ['ends before it has said as much', [[word('one'), finish]]],
    ['breaks before it has said as much', [[word('one'), cut]]],
  ])('ends with an error and no [DONE] where the other %s', async (_name, plays) => {
    const w = world([{ plays: [[...begun, silence]] }, { plays }])
    expect(await w.read()).toMatchObject({ text: 'one two', done: false, error: expect.stringMatching(/^stream_/) })
    expect(w.told).toContain('p0 no')
  })

  it('is not gone on with where what was said cannot be compared', async () => {
    const odd = { choices: [{ index: 0, delta: { audio: { data: 'x' } }, finish_reason: null }] }
    const w = world([{ plays: [[odd, cut]] }, { plays: [again] }])
    expect(await w.read()).toMatchObject({ done: false, error: 'stream_interrupted' })
    expect(w.asked).toEqual([])
  })

  it('is not gone on with where the provider broke it off because of what it says', async () => {
    const refusal = JSON.stringify({ error: { code: 'content_filter', message: 'no' } })
    const w = world([{ plays: [[...begun, refusal]] }, { plays: [again] }])
    expect(await w.read()).toMatchObject({ text: 'one two', done: false, error: 'content_filter' })
    expect(w.asked).toEqual([])
    expect(w.strikes).toEqual([])
  })

  it('of another error in the stream is gone on with', async () => {
    const w = world([{ plays: [[...begun, JSON.stringify({ error: { code: 'server_error' } })]] }, { plays: [again] }])
    expect(await w.read()).toMatchObject(good)
  })

  it('is left alone when the caller has left, and so is what was to go on with it', async () => {
    const w = world([{ plays: [[...begun, 5_000, cut]] }, { plays: [again] }])
    await w.clock.advance(4_999)
    w.caller.abort()
    await w.clock.advance(1)
    await settled()
    await w.reading
    expect(w.asked).toEqual([])
    expect(w.held.size).toBe(0)
    expect(w.told).toEqual(['end'])
  })
})

describe('a rescue that takes long', () => {
  const slowly = () => world([{ plays: [[...begun, cut]] }, { plays: [again], delayMs: 40_000 }])

  it('keeps the connection open meanwhile', async () => {
    expect(await slowly().read()).toMatchObject({ ...good, beats: 2 })
  })

  it('is given up when the caller leaves, and so is whoever answers then', async () => {
    const w = slowly()
    await w.clock.advance(1_000)
    w.caller.abort()
    await w.clock.advance(40_000)
    await w.reading
    expect(w.held.size).toBe(0)
    expect(w.told).toEqual(['end'])
    expect(w.heard()).not.toContain('three')
    expect(w.clock.pendingTimers).toBe(0)
  })

  it('is given up when the reader leaves between two comments, and so is whoever answers then', async () => {
    const w = slowly()
    await w.clock.advance(1_000)
    const left = w.leave()
    await w.clock.advance(40_000)
    await left
    await w.reading
    expect(w.asked).toHaveLength(1)
    expect(w.held.size).toBe(0)
    expect(w.told).toEqual(['end'])
  })
})

describe('a stream that is slow', () => {
  it('keeps its connection open with a comment every fifteen seconds', async () => {
    const w = world([{ plays: [[...begun, 50_000, word(' three'), finish, '[DONE]']] }])
    expect(await w.read()).toMatchObject({ ...good, beats: 3 })
  })

  it('and keeps its connection open without an event is gone on with by another in the end', async () => {
    const hanging = [...begun, 90_000, word(' late')]
    const w = world([{ plays: [hanging], maxSilenceMs: 30_000 }, { plays: [again] }])
    expect(await w.read()).toMatchObject({ ...good, beats: 1 })
    expect(w.told).toEqual(['p0 restart', 'end'])
    expect(w.strikes).toEqual(['0#1'])
    expect(w.aborted).toEqual(['0#1'])
  })

  it('says so where it is silent and nobody goes on with it', async () => {
    const w = world([{ plays: [[...begun, 90_000]], maxSilenceMs: 30_000 }])
    expect(await w.read()).toMatchObject({ text: 'one two', done: false, error: 'stream_idle_timeout' })
  })

  it('ends two seconds after its last word where the provider forgets to say so', async () => {
    const w = world([{ plays: [[...begun, word(' three'), finish, 90_000]] }])
    await w.clock.advance(1_999)
    expect(w.told).toEqual([])
    await w.clock.advance(1)
    expect(w.told).toEqual(['end'])
    expect(w.aborted).toEqual(['0#1'])
    await w.reading
  })

  it('is gone on with by another where it falls below the pace it must keep', async () => {
    const slow = [...begun, 10_000, word(' th'), 90_000]
    const w = world([{ plays: [slow], pace: 1 }, { plays: [again] }])
    await w.clock.advance(9_999)
    expect(w.asked).toHaveLength(0)
    await w.clock.advance(1)
    expect(w.asked).toHaveLength(1)
    expect(await w.read()).toMatchObject(good)
    expect(w.told[0]).toBe('p0 restart')
  })

  it('says so where nobody goes on with it', async () => {
    const slow = [...begun, 10_000, word(' th'), 90_000]
    const w = world([{ plays: [slow], pace: 1 }, { plays: ['fails'] }])
    expect(await w.read()).toMatchObject({ text: 'one two th', done: false, error: 'stream_too_slow' })
  })

  it('is left alone where it keeps its pace exactly, or rests for less than ten seconds', async () => {
    const exact = Array.from({ length: 20 }, () => [1_000, word('.')]).flat()
    const w = world([{ plays: [[...exact, finish]], pace: 1 }, { plays: [again] }])
    expect(await w.read()).toMatchObject({ done: true, error: undefined })
    expect(w.asked).toEqual([])
    const resting = world([{ plays: [[...begun, 9_000, word(' three'), finish]], pace: 1 }, { plays: [again] }])
    expect(await resting.read()).toMatchObject(good)
    expect(resting.asked).toEqual([])
  })

  it('is left alone where it has come to its end, and only the last word is out', async () => {
    const w = world([{ plays: [[...begun, 10_000, finish, 1_000, '[DONE]']], pace: 1 }, { plays: [again] }])
    expect(await w.read()).toMatchObject({ done: true, error: undefined })
    expect(w.asked).toEqual([])
  })

  it('is left alone where it is the caller who is slow', async () => {
    const w = world([{ plays: [[...begun, word(' three'), 1, word('.'), finish]], pace: 1 }, { plays: [again] }], {
      readMs: 6_000,
    })
    expect(await w.read()).toMatchObject({ done: true, error: undefined })
    expect(w.asked).toEqual([])
  })

  it('is left alone where it keeps its pace, and on the last target always', async () => {
    const steady = begun.concat(Array.from({ length: 10 }, () => [1_500, word('.')]).flat() as never, [finish] as never)
    const w = world([{ plays: [steady], pace: 0.5 }, { plays: [again] }])
    expect(await w.read()).toMatchObject({ done: true, error: undefined })
    expect(w.asked).toEqual([])
    const last = world([{ plays: [[...begun, 30_000, word(' three'), finish, '[DONE]']], pace: 5 }])
    expect(await last.read()).toMatchObject(good)
  })
})
