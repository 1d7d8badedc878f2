/**
 * A provider's stream broken at every byte, and what a caller gets: the whole right answer, or an error event, no
 * `[DONE]`, and a true beginning of the answer. Nothing else, wherever the cut falls and whoever goes on.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  answerOf,
  type Cut,
  cutName,
  type Ending,
  eventsOf,
  type Shape,
  type Spare,
  startCuttingProvider,
} from '../support/cutting-provider.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { seededRandom } from '../support/seeded-random.ts'

const concurrency = 16
const never = 1_000_000

let provider: Awaited<ReturnType<typeof startCuttingProvider>>
/** One that has been told that its fallback continues an answer, and one that has not; and one with two fallbacks. */
let gateways: Record<'prefill' | 'restart' | 'both', TestGateway>

beforeAll(async () => {
  provider = await startCuttingProvider()
  const at = (name: string) => ({ kind: 'openai', base_url: `${provider.url}/${name}/v1` })
  const start = (fallbacks: object[], batchMs = 0) =>
    startTestGateway({
      batchMs: () => batchMs,
      env: { RETRY_INITIAL_BACKOFF: '1ms', LOG_LEVEL: 'error' },
      routing: () => ({
        providers: { first: at('first'), second: at('second'), third: at('third') },
        models: { '*': { targets: [{ provider: 'first' }, ...fallbacks] } },
      }),
    })
  const [prefill, restart, both] = await Promise.all([
    start([{ provider: 'second', prefill: true }]),
    start([{ provider: 'second' }]),
    // What is gathered before it goes on must not be lost, or told twice, where it breaks.
    start([{ provider: 'second', prefill: true }, { provider: 'third' }], 2),
  ])
  gateways = { prefill, restart, both }
})
afterAll(async () => {
  await Promise.all(Object.values(gateways).map((gateway) => gateway.close()))
  provider.close()
})

interface Choice {
  role: string
  text: string
  calls: { ids: string[]; name: string; arguments: string }[]
  finish: string | undefined
}

/** What a client puts together from what it was sent; strings are joined, as the official SDKs do. */
function assemble(raw: string) {
  const data = raw.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []))
  const events = data.filter((each) => each !== '[DONE]').map((each) => JSON.parse(each))
  const choices: Choice[] = []
  for (const { index, delta, finish_reason: finish } of events.flatMap((event) => event.choices ?? [])) {
    choices[index] ??= { role: '', text: '', calls: [], finish: undefined }
    const choice = choices[index]
    choice.role += delta.role ?? ''
    choice.text += delta.content ?? ''
    choice.finish = finish ?? choice.finish
    for (const call of delta.tool_calls ?? []) {
      choice.calls[call.index] ??= { ids: [], name: '', arguments: '' }
      const known = choice.calls[call.index]!
      if (call.id) known.ids.push(call.id)
      known.name += call.function?.name ?? ''
      known.arguments += call.function?.arguments ?? ''
    }
  }
  return {
    choices,
    ids: new Set(events.filter((event) => event.choices).map((event) => event.id)),
    error: events.find((event) => event.error)?.error,
    done: data.filter((each) => each === '[DONE]').length,
    doneLast: data.at(-1) === '[DONE]',
    usage: events.filter((event) => event.usage).length,
  }
}

type Verdict = 'whole' | 'honest' | 'refused'

/** @throws where the answer is neither whole nor an honest part. */
function judge(status: number, raw: string, { shape, spare }: Cut): Verdict {
  if (status !== 200) {
    expect(JSON.parse(raw).error.message).toBeTruthy()
    return 'refused'
  }
  const answer = assemble(raw)
  expect(answer.ids.size, 'ids of one answer').toBeLessThanOrEqual(1)
  for (const choice of answer.choices) {
    if (!choice) continue
    expect(choice.role).toBe('assistant')
    for (const call of choice.calls) expect(call?.ids, 'ids of a call').toHaveLength(1)
  }
  const told = answer.choices.map(({ text, calls, finish }) => ({
    text,
    calls: calls.map((call) => ({ name: call.name, arguments: call.arguments })),
    finish,
  }))
  const rights = [answerOf(shape), answerOf(shape, spare)].map((scripts) =>
    scripts.map(({ text, calls, finish }) => ({
      text,
      calls: calls.map((call) => ({ name: call.name, arguments: call.arguments })),
      finish,
    })),
  )
  if (answer.done > 0) {
    expect(answer.error).toBeUndefined()
    expect([answer.done, answer.doneLast]).toEqual([1, true])
    expect(rights).toContainEqual(told)
    return 'whole'
  }
  expect(answer.error?.message).toBeTruthy()
  const isBeginning = rights.some((right) =>
    told.every((choice, i) => {
      const own = right[i]!
      return (
        own.text.startsWith(choice.text) &&
        choice.calls.every(
          (call, j) => call.name === own.calls[j]?.name && own.calls[j].arguments.startsWith(call.arguments),
        )
      )
    }),
  )
  expect(isBeginning, `a true beginning: ${JSON.stringify(told)}`).toBe(true)
  return 'honest'
}

async function run(gateway: TestGateway, cuts: readonly Cut[]) {
  const counts: Record<Verdict | 'wrong', number> = { whole: 0, honest: 0, refused: 0, wrong: 0 }
  const wrong: { cut: Cut; why: string; raw: string }[] = []
  let next = 0
  const worker = async () => {
    for (let cut = cuts[next++]; cut; cut = cuts[next++]) {
      const response = await gateway.post('/v1/chat/completions', {
        model: cutName(cut),
        messages: [{ role: 'user', content: 'hi' }],
        stream: true,
        ...(cut.shape === 'two' && { n: 2 }),
      })
      const raw = await response.text()
      try {
        counts[judge(response.status, raw, cut)]++
      } catch (error) {
        counts.wrong++
        wrong.push({ cut, why: (error as Error).message.slice(0, 500), raw })
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return { counts, wrong: wrong.slice(0, 3) }
}

const shapes: Shape[] = ['text', 'tools', 'two']
const endings: Ending[] = ['reset', 'end', 'close']

function lengthOf(shape: Shape): number {
  return eventsOf(answerOf(shape), 'first', 3).reduce((sum, event) => sum + event.length, 0)
}

/** Before, in the middle of, and after each event. */
function eventCuts(shape: Shape): number[] {
  let end = 0
  return eventsOf(answerOf(shape), 'first', 3).flatMap((event) => {
    const start = end
    end += event.length
    return [start, start + (event.length >> 1), end]
  })
}

function report(what: string, counts: Record<string, number>) {
  const said = Object.entries(counts).map(([verdict, count]) => `${count} ${verdict}`)
  console.info(`${what}: ${said.join(', ')}`)
}

const cutsOf = (shape: Shape, ending: Ending, spare: Spare, all: readonly number[]) =>
  all.map((bytes): Cut => ({ shape, ending, bytes, spare, spareBytes: never }))
const atEveryByte = (shape: Shape) => Array.from({ length: lengthOf(shape) + 1 }, (_, bytes) => bytes)

describe.each([
  ['continues the answer', 'prefill', 'prefill'],
  ['begins anew with the same words', 'same', 'restart'],
  ['begins anew with other words', 'other', 'restart'],
] as const)('a stream that is cut, with a fallback that %s', (what, spare, name) => {
  test.each(['reset', 'end'] as const)('at every byte of an answer, by %s: 0 wrong', async (ending) => {
    const cuts = cutsOf('text', ending, spare, atEveryByte('text'))
    const { counts, wrong } = await run(gateways[name], cuts)
    report(`${cuts.length} cuts by ${ending}, ${what}`, counts)
    expect(wrong).toEqual([])
    // Whoever can go on with it does.
    if (spare !== 'other') expect(counts.whole).toBe(cuts.length)
    else expect(counts.honest).toBeGreaterThan(0)
  })

  test.each(['text', 'tools', 'two'] as const)(
    'at and in every event of "%s", in every way: 0 wrong',
    async (shape) => {
      const cuts = endings.flatMap((ending) => cutsOf(shape, ending, spare, eventCuts(shape)))
      const { counts, wrong } = await run(gateways[name], cuts)
      report(`${cuts.length} cuts of ${shape}, ${what}`, counts)
      expect(wrong).toEqual([])
      if (spare !== 'other') expect(counts.whole).toBe(cuts.length)
    },
  )
})

test('a fallback that was said to continue answers and refuses to: 0 wrong', async () => {
  const cuts = shapes.flatMap((shape) => endings.flatMap((ending) => cutsOf(shape, ending, 'same', eventCuts(shape))))
  const { counts, wrong } = await run(gateways.prefill, cuts)
  report(`${cuts.length} cuts, prefill refused`, counts)
  // That it refuses is found out anew for each of these models, which is more than the retry budget allows for.
  expect(wrong).toEqual([])
})

test('a fallback that is cut too, at any byte of both: 0 wrong', async () => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  const random = seededRandom(seed)
  const pick = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)]!
  const cuts = Array.from({ length: 600 }, (): Cut => {
    const shape = pick(['text', 'text', 'tools', 'two'] as const)
    const [bytes, spareBytes] = [Math.floor(random() * lengthOf(shape)), Math.floor(random() * lengthOf(shape))]
    return { shape, ending: pick(endings), bytes, spare: pick(['prefill', 'same', 'other']), spareBytes }
  })
  const { counts, wrong } = await run(gateways.both, cuts)
  report(`${cuts.length} cuts of both, seed ${seed}`, counts)
  expect(wrong, `seed ${seed}`).toEqual([])
})

describe('the judge of these tests', () => {
  const cut: Cut = { shape: 'text', ending: 'end', bytes: 0, spare: 'same', spareBytes: never }
  const good = Buffer.concat(eventsOf(answerOf('text'), 'first', 3)).toString()
  const error = 'data: {"error":{"message":"The answer broke off.","code":"stream_interrupted"}}\n\n'
  const done = 'data: [DONE]\n\n'
  const events = good.split(/(?<=\n\n)/)

  test('takes a whole answer, an honest part, and a refusal', () => {
    expect(judge(200, good, cut)).toBe('whole')
    expect(judge(200, events.slice(0, 3).join('') + error, cut)).toBe('honest')
    expect(judge(503, '{"error":{"message":"no"}}', cut)).toBe('refused')
  })
  test.each([
    ['a part that looks whole', events.slice(0, 3).join('') + done],
    ['a part that simply ends', events.slice(0, 3).join('')],
    ['a part with an error and [DONE]', events.slice(0, 3).join('') + error + done],
    ['a piece twice', [...events.slice(0, 3), ...events.slice(2)].join('')],
    ['a piece missing', [...events.slice(0, 2), ...events.slice(3)].join('')],
    ['the wrong piece before an error', [events[0], events[2], error].join('')],
    ['the role twice', [events[0], ...events].join('')],
    ['two answers’ ids', [...events.slice(0, 3), ...events.slice(3).map((e) => e.replace('first', 'other'))].join('')],
    ['half an event', [events[0], '{"id":"fir\n\n', done].join('data: ')],
    ['no finish_reason', events.filter((event) => !event.includes('stop')).join('')],
    ['something after [DONE]', good + events[1]],
  ])('does not take %s', (_, raw) => {
    expect(() => judge(200, raw, cut)).toThrow()
  })
})
