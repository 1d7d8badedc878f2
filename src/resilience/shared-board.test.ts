import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import type { CircuitReport } from './fleet-board.ts'
import type { Beat, BoardPage, FleetStore, News, Push } from './fleet-store.ts'
import { createSharedBoard } from './shared-board.ts'

const circuit = 'up/gpt'

/** A store that is played by the test: it keeps the beats, and answers with what was put in `news`. */
function world(random = () => 0.5) {
  const clock = new FakeClock()
  const beats: (Beat & { atMs: number })[] = []
  const startedAt = clock.now()
  const store = {
    news: { pods: 1, version: 1, hasColumn: true, page: undefined } as News | 'fails' | 'later',
    claim: 'granted' as 'granted' | 'held' | 'fails',
    left: [] as string[],
    pending: [] as ((news: News) => void)[],
  }
  let listener: { onPush(push: Push): void; onGap(): void } | undefined
  const played: FleetStore = {
    sync(beat) {
      beats.push({ ...beat, atMs: clock.now() - startedAt })
      if (store.news === 'later') return new Promise((resolve) => void store.pending.push(resolve))
      if (store.news === 'fails') return Promise.reject(new Error('away'))
      const { page, ...rest } = store.news
      return Promise.resolve({ ...rest, page: beat.seen === rest.version ? undefined : page })
    },
    async claim(what, pod, ms) {
      if (store.claim === 'fails') throw new Error('away')
      expect([what, pod, ms]).toEqual([circuit, 'me', 5_000])
      return store.claim === 'granted'
    },
    async leave(pod) {
      store.left.push(pod)
    },
    subscribe(given) {
      listener = given
    },
  }
  const board = createSharedBoard({ clock, random, pod: 'me', store: played })
  const changes: string[][] = []
  const words: string[] = []
  board.listen({
    onReports: (circuits) => void changes.push([...circuits]),
    onWord: (name, word) => void words.push(`${name} ${word}`),
  })
  const page = (more: Partial<BoardPage> = {}): BoardPage => ({ pods: ['me', 'a'], said: [], words: [], ...more })
  const news = (version: number, more: Partial<BoardPage> = {}) => {
    const full = page(more)
    store.news = { pods: full.pods.length, version, hasColumn: true, page: full }
  }
  return {
    clock,
    board,
    beats,
    store,
    changes,
    words,
    news,
    page,
    push: (push: Push) => listener!.onPush(push),
    gap: () => listener!.onGap(),
  }
}

const report = (more: Partial<CircuitReport> = {}): CircuitReport => ({
  name: 'up:gpt',
  state: 'open',
  own: true,
  byTrials: false,
  at: 4_000,
  until: 34_000,
  ...more,
})
/** As a column travels: circuit, name, state, flags, age, wait, stamp. */
const item = (stamp: number, name = circuit) => [name, 'up:gpt', 1, 1, 1_000, 29_000, stamp]
const column = (...items: unknown[]) => JSON.stringify(items)

describe('beats', () => {
  it('come at once, then every second', async () => {
    const { clock, beats } = world()
    await clock.advance(3_500)
    expect(beats.map(({ atMs }) => atMs)).toEqual([0, 1_000, 2_000, 3_000])
    expect(beats[1]).toMatchObject({ pod: 'me', seen: 0, said: undefined, words: [] })
  })

  it.each([
    [0, 800],
    [1, 1_200],
  ])('are spread by a fifth, so that pods do not come together (%i)', async (die, ms) => {
    const { clock, beats } = world(() => die)
    await clock.advance(ms)
    expect(beats.map(({ atMs }) => atMs)).toEqual([0, ms])
  })

  it('carry a change at once, and changes that come together together', async () => {
    const { clock, board, beats } = world()
    await clock.advance(500)
    board.tell(circuit, report())
    await clock.advance(0)
    expect(beats).toHaveLength(2)
    expect(JSON.parse(beats[1]!.said!)).toEqual([[circuit, 'up:gpt', 1, 1, 1_500, 28_500, 1]])
    board.tell('up/b', report({ state: 'half_open', own: false, byTrials: true }))
    board.tell('up/c', report({ state: 'closed', byTrials: true }))
    await clock.advance(19)
    expect(beats).toHaveLength(2)
    await clock.advance(1)
    expect(beats).toHaveLength(3)
    expect(JSON.parse(beats[2]!.said!).map((told: unknown[]) => told.slice(0, 4))).toEqual([
      [circuit, 'up:gpt', 1, 1],
      ['up/b', 'up:gpt', 2, 2],
      ['up/c', 'up:gpt', 0, 3],
    ])
    await clock.advance(1_000)
    expect(beats[3]).toMatchObject({ said: undefined, atMs: 1_520 })
    board.tell(circuit, undefined)
    board.tell('up/b', undefined)
    board.tell('up/c', undefined)
    await clock.advance(20)
    expect(beats[4]!.said).toBe('')
  })

  it('carry no news of what was never told', async () => {
    const { clock, board, beats } = world()
    await clock.advance(500)
    board.tell(circuit, undefined)
    await clock.advance(400)
    expect(beats).toHaveLength(1)
  })

  it('carry at most 256 circuits, and changes of those', async () => {
    const { clock, board, beats } = world()
    await clock.advance(500)
    for (let i = 0; i < 300; i++) board.tell(`up/${i}`, report())
    board.tell('up/0', report({ state: 'half_open' }))
    await clock.advance(20)
    const told = JSON.parse(beats[1]!.said!)
    expect(told).toHaveLength(256)
    expect(told[0][2]).toBe(2)
    board.tell('up/0', undefined)
    board.tell('up/new', report())
    await clock.advance(20)
    expect(JSON.parse(beats[2]!.said!).at(-1)[0]).toBe('up/new')
  })

  it('are one at a time, and a change meanwhile goes with the next', async () => {
    const { clock, board, beats, store } = world()
    store.news = 'later'
    await clock.advance(100)
    board.tell(circuit, report())
    await clock.advance(5_000)
    expect(beats).toHaveLength(1)
    store.pending[0]!({ pods: 1, version: 1, hasColumn: true, page: undefined })
    await clock.advance(0)
    expect(beats).toHaveLength(2)
    expect(beats[1]!.said).toContain(circuit)
  })

  it('that fail are repeated a second later, with what they carried, and not sooner', async () => {
    const { clock, board, beats, store } = world()
    await clock.advance(500)
    store.news = 'fails'
    board.tell(circuit, report())
    await clock.advance(20)
    board.tell('up/b', report())
    await clock.advance(979)
    expect(beats).toHaveLength(2)
    await clock.advance(1)
    expect(beats).toHaveLength(3)
    store.news = { pods: 1, version: 1, hasColumn: true, page: undefined }
    await clock.advance(1_000)
    expect(beats[3]!.said).toContain('up/b')
    await clock.advance(1_000)
    expect(beats[4]!.said).toBeUndefined()
    // And at once again, now that the store answers.
    board.tell('up/c', report())
    await clock.advance(20)
    expect(beats).toHaveLength(6)
  })

  it('that fail while a change comes go on all the same', async () => {
    const { clock, board, beats, store } = world()
    store.news = 'later'
    await clock.advance(0)
    board.tell(circuit, report())
    store.news = 'fails'
    store.pending[0]!(undefined as unknown as News) // An answer that is none.
    await clock.advance(2_000)
    expect(beats.map(({ atMs }) => atMs)).toEqual([0, 1_000, 2_000])
  })

  it('are told again what the store has lost', async () => {
    const { clock, board, beats, store } = world()
    await clock.advance(500)
    board.tell(circuit, report())
    await clock.advance(20)
    store.news = { pods: 1, version: 1, hasColumn: false, page: undefined }
    await clock.advance(980)
    store.news = { pods: 1, version: 1, hasColumn: true, page: undefined }
    await clock.advance(20)
    expect(beats.slice(2).map(({ said }) => said !== undefined)).toEqual([false, true])
    await clock.advance(1_000)
    expect(beats.at(-1)!.said).toBeUndefined()
  })

  it('do not come more often where there is nothing to have been lost', async () => {
    const { clock, beats, store } = world()
    store.news = { pods: 1, version: 1, hasColumn: false, page: undefined }
    await clock.advance(2_000)
    expect(beats).toHaveLength(3)
  })

  it('end with the board, which says goodbye', async () => {
    const { clock, board, beats, store, changes, push, words } = world()
    await clock.advance(500)
    await board.close()
    expect(store.left).toEqual(['me'])
    board.tell(circuit, report())
    push({ version: 2, pod: 'a', text: column(item(1)) })
    await clock.advance(5_000)
    expect(beats).toHaveLength(1)
    expect(clock.pendingTimers).toBe(0)
    expect([changes, words]).toEqual([[], []])
  })

  it('that are answered after the end say nothing', async () => {
    const { clock, board, store, changes, page } = world()
    store.news = 'later'
    await clock.advance(0)
    await board.close()
    store.pending[0]!({
      pods: 2,
      version: 2,
      hasColumn: false,
      page: page({ said: [{ pod: 'a', text: column(item(1)), agoMs: 0 }] }),
    })
    await clock.advance(5_000)
    expect(changes).toEqual([])
    expect(board.pods()).toBe(1)
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('being out of reach', () => {
  it('takes two failed beats and three seconds of silence, and ends with the first answer', async () => {
    const { clock, board, store, beats } = world()
    expect(board.reachable()).toBe(true)
    await clock.advance(0)
    store.news = 'fails'
    await clock.advance(3_000)
    expect(beats).toHaveLength(4)
    expect(board.reachable()).toBe(true)
    await clock.advance(1)
    expect(board.reachable()).toBe(false)
    store.news = { pods: 1, version: 1, hasColumn: true, page: undefined }
    await clock.advance(999)
    expect(board.reachable()).toBe(true)
  })

  it('is not what a pod that was asleep has seen', async () => {
    const { clock, board, store } = world()
    await clock.advance(0)
    store.news = 'later'
    await clock.advance(60_000)
    expect(board.reachable()).toBe(true)
    const one = world()
    one.store.news = 'fails'
    await one.clock.advance(0)
    one.store.news = 'later'
    await one.clock.advance(60_000)
    expect(one.board.reachable()).toBe(true)
  })

  it('ends with the answer to a claim as well', async () => {
    const { clock, board, store } = world()
    store.news = 'fails'
    await clock.advance(10_000)
    expect(board.reachable()).toBe(false)
    expect(await board.claim(circuit, 5_000)).toBe('granted')
    expect(board.reachable()).toBe(true)
  })
})

it('claims are granted, held by another, or not answered', async () => {
  const { board, store } = world()
  expect(await board.claim(circuit, 5_000)).toBe('granted')
  store.claim = 'held'
  expect(await board.claim(circuit, 5_000)).toBe('held')
  store.claim = 'fails'
  expect(await board.claim(circuit, 5_000)).toBe('unknown')
})

describe('what others say', () => {
  it('comes with the beat, by pod and circuit, aged by its time in the store', async () => {
    const { clock, board, changes, news } = world()
    news(2, { pods: ['me', 'a', 'b', 'c'], said: [{ pod: 'a', text: column(item(1)), agoMs: 500 }] })
    await clock.advance(0)
    expect(board.pods()).toBe(4)
    expect([...board.others().keys()]).toEqual(['a', 'b', 'c'])
    expect([...board.said(circuit)]).toEqual([['a', { ...report(), at: 3_500, until: 33_500, stamp: 1 }]])
    expect(changes).toEqual([[circuit]])
    await clock.advance(2_000)
    expect(changes).toHaveLength(1)
  })

  it('comes by push, and the next beat need not tell it again', async () => {
    const { clock, board, changes, push, beats, news } = world()
    news(7)
    await clock.advance(0)
    push({ version: 8, pod: 'a', text: column(item(1)) })
    expect(changes).toEqual([[circuit]])
    expect([...board.said(circuit)]).toMatchObject([['a', { at: 4_000 }]])
    // Late, and out of order: known already.
    push({ version: 8, pod: 'a', text: column() })
    push({ version: 3, pod: 'a', text: column() })
    expect([...board.said(circuit)]).toHaveLength(1)
    await clock.advance(1_000)
    expect(beats[1]!.seen).toBe(8)
  })

  it('is read whole where a push was missed', async () => {
    const { clock, push, beats, news } = world()
    news(7)
    await clock.advance(0)
    push({ version: 9, pod: 'a', text: column(item(1)) })
    await clock.advance(1_000)
    expect(beats[1]!.seen).toBe(7)
  })

  it('is asked for at once where pushes may have been missed', async () => {
    const { clock, gap, beats } = world()
    await clock.advance(500)
    gap()
    await clock.advance(0)
    expect(beats).toHaveLength(2)
  })

  it('is not what this pod said itself', async () => {
    const { clock, board, push, news, changes } = world()
    news(7, { said: [{ pod: 'me', text: column(item(1)), agoMs: 0 }] })
    await clock.advance(0)
    push({ version: 8, pod: 'me', text: column(item(1)) })
    expect([...board.said(circuit)]).toEqual([])
    expect(changes).toEqual([])
  })

  it('stays the same object while it is the same, and is another with another stamp', async () => {
    const { clock, board, push, news, changes } = world()
    news(7, { said: [{ pod: 'a', text: column(item(1), item(1, 'up/b')), agoMs: 0 }] })
    await clock.advance(0)
    const [, first] = [...board.said(circuit)][0]!
    push({ version: 8, pod: 'a', text: column(item(1), item(2, 'up/b')) })
    expect([...board.said(circuit)][0]![1]).toBe(first)
    expect(changes).toEqual([[circuit, 'up/b'], ['up/b']])
    push({ version: 9, pod: 'a', text: column(item(3)) })
    expect([...board.said(circuit)][0]![1]).not.toBe(first)
    expect(changes.at(-1)).toEqual([circuit, 'up/b'])
  })

  it('goes with the pod, and with what it does not say any more', async () => {
    const { clock, board, news, changes, push } = world()
    news(7, {
      pods: ['me', 'a', 'b'],
      said: [
        { pod: 'a', text: column(item(1)), agoMs: 0 },
        { pod: 'b', text: column(item(1, 'up/b')), agoMs: 0 },
      ],
    })
    await clock.advance(0)
    news(8, { pods: ['me', 'b'], said: [] })
    await clock.advance(1_000)
    expect(board.others()).toEqual(new Map([['b', new Map()]]))
    expect(changes).toHaveLength(2)
    expect(changes[1]!.toSorted()).toEqual(['up/b', circuit])
    push({ version: 9, pod: 'c', text: column(item(1)) })
    expect([...board.others().keys()]).toEqual(['b', 'c'])
    push({ version: 10, pod: 'c', text: '' })
    expect([...board.said(circuit)]).toEqual([])
    expect(changes.at(-1)).toEqual([circuit])
  })

  it('is not undone by an answer that was read before a push', async () => {
    const { clock, board, push, store, page, news, beats } = world()
    news(7)
    await clock.advance(0)
    store.news = 'later'
    await clock.advance(1_000)
    push({ version: 8, pod: 'a', text: column(item(1)) })
    push({ version: 9, pod: 'a', text: column(item(2)) })
    store.pending[0]!({ pods: 2, version: 8, hasColumn: true, page: page() })
    await settled()
    expect([...board.said(circuit)]).toHaveLength(1)
    // Whether it was that, or a store that began anew: it is read again.
    store.news = { pods: 2, version: 3, hasColumn: true, page: page() }
    await clock.advance(20)
    expect(beats.at(-1)!.seen).toBe(0)
    expect([...board.said(circuit)]).toEqual([])
  })

  it('is left out where it cannot be understood', async () => {
    const { clock, board, news } = world()
    const bad = [
      null,
      {},
      [],
      [7, 'up:gpt', 1, 1, 0, 0, 1],
      ['up/x', 7, 1, 1, 0, 0, 1],
      ['up/x', 'up:x', 9, 1, 0, 0, 1],
      ['up/x', 'up:x', 1, 'own', 0, 0, 1],
      ['up/x', 'up:x', 1, 1, null, 0, 1],
      ['up/x', 'up:x', 1, 1, 0, '0', 1],
      ['up/x', 'up:x', 1, 1, 0, 0, null],
    ]
    news(2, {
      pods: ['me', 'a', 'b', 'c', 'd'],
      said: [
        { pod: 'a', text: column(...bad, item(1)), agoMs: 0 },
        { pod: 'b', text: 'not json', agoMs: 0 },
        { pod: 'c', text: '{"a":1}', agoMs: 0 },
        { pod: 'd', text: column(...Array.from({ length: 300 }, (_, i) => item(i, `up/${i}`))), agoMs: 0 },
      ],
    })
    await clock.advance(0)
    expect([...board.others()].map(([pod, said]) => [pod, said.size])).toEqual([
      ['a', 1],
      ['b', 0],
      ['c', 0],
      ['d', 256],
    ])
  })

  it('is the same at the end of the journey, in every state', async () => {
    const from = world()
    await from.clock.advance(500)
    const states = ['closed', 'open', 'half_open', 'forced_open', 'forced_closed'] as const
    const flags = [true, false].flatMap((own) => [true, false].map((byTrials) => ({ own, byTrials })))
    const all = states.flatMap((state) => flags.map((flag) => report({ state, ...flag })))
    for (const [i, each] of all.entries()) from.board.tell(`up/${i}`, each)
    await from.clock.advance(20)
    const to = world()
    await to.clock.advance(500)
    to.push({ version: 1, pod: 'a', text: from.beats.at(-1)!.said! })
    expect([...to.board.others().get('a')!.values()]).toMatchObject(all)
  })

  it('is there no more for a listener that has ended', async () => {
    const { board, push } = world()
    const heard: number[] = []
    const stop = board.listen({ onReports: ({ size }) => void heard.push(size) })
    push({ version: 1, pod: 'a', text: column(item(1)) })
    stop()
    push({ version: 2, pod: 'a', text: column(item(2)) })
    expect(heard).toEqual([1])
  })
})

describe('an operator’s word', () => {
  const stored = (word: 'open' | 'closed' | 'auto', at: number, name = 'up:gpt') => ({ name, word, at })

  it('holds here at once, is carried until it is confirmed, and is not told back', async () => {
    const { clock, board, beats, store, words, news } = world()
    await clock.advance(500)
    store.news = 'fails'
    board.setWord('up:gpt', 'open')
    expect([...board.words()]).toEqual([['up:gpt', 'open']])
    await clock.advance(1_020)
    expect(beats.slice(1).map((beat) => beat.words)).toEqual([[stored('open', 0)], [stored('open', 0)]])
    news(2, { words: [stored('open', 70)] })
    await clock.advance(2_000)
    expect(beats.slice(3).map((beat) => beat.words.length)).toEqual([1, 0])
    expect(words).toEqual([])
    expect([...board.words()]).toEqual([['up:gpt', 'open']])
  })

  it('that follows another before that was confirmed is carried too', async () => {
    const { clock, board, beats, store } = world()
    await clock.advance(500)
    store.news = 'later'
    board.setWord('up:gpt', 'open')
    await clock.advance(20)
    board.setWord('up:gpt', 'closed')
    store.pending[0]!({ pods: 1, version: 1, hasColumn: true, page: undefined })
    await clock.advance(20)
    expect(beats.slice(1).map((beat) => beat.words)).toEqual([[stored('open', 0)], [stored('closed', 0)]])
    expect(board.words().get('up:gpt')).toBe('closed')
  })

  it('comes with the beat and by push, once, and the latest holds', async () => {
    const { clock, board, words, news, push } = world()
    news(7, { words: [stored('open', 50), stored('auto', 60, 'up:b')] })
    await clock.advance(0)
    push({ version: 8, words: [stored('closed', 40), stored('open', 50)] })
    push({ version: 9, words: [stored('closed', 70)] })
    push({ version: 10, words: [stored('closed', 80)] })
    expect(words).toEqual(['up:gpt open', 'up:gpt closed'])
    push({ version: 11, words: [stored('auto', 90)] })
    expect(words.at(-1)).toBe('up:gpt auto')
    expect([...board.words()]).toEqual([])
  })

  it('given here goes before others’, until the store has said which is the latest', async () => {
    const { clock, board, words, news, push, store } = world()
    news(7)
    await clock.advance(0)
    store.news = 'later'
    board.setWord('up:gpt', 'open')
    await clock.advance(20)
    push({ version: 9, words: [stored('auto', 90)] })
    expect([...board.words()]).toEqual([['up:gpt', 'open']])
    store.pending[0]!({
      pods: 2,
      version: 9,
      hasColumn: true,
      page: { pods: ['me', 'a'], said: [], words: [stored('auto', 90)] },
    })
    await clock.advance(0)
    expect(words).toEqual(['up:gpt auto'])
    expect([...board.words()]).toEqual([])
  })

  it('is told again to a store that has forgotten it, by when it was given, and yields to a later one', async () => {
    const { clock, board, beats, news, words, store, page } = world()
    news(7, { words: [stored('open', 50)] })
    await clock.advance(0)
    news(8)
    await clock.advance(1_000)
    store.news = 'later'
    await clock.advance(20)
    expect(beats.at(-1)!.words).toEqual([stored('open', 50)])
    store.pending[0]!({ pods: 2, version: 9, hasColumn: true, page: page({ words: [stored('auto', 60)] }) })
    await clock.advance(0)
    expect(words).toEqual(['up:gpt open', 'up:gpt auto'])
    expect(board.words().size).toBe(0)
    store.news = { pods: 2, version: 9, hasColumn: true, page: undefined }
    await clock.advance(2_000)
    expect(beats.at(-1)!.words).toEqual([])
  })

  it('is remembered for a thousand names', async () => {
    const { clock, board, news } = world()
    news(7, { words: Array.from({ length: 1_100 }, (_, i) => stored('open', 50, `up:${i}`)) })
    await clock.advance(0)
    expect(board.words().size).toBe(1_000)
    news(8, { words: [stored('closed', 60, 'up:5'), stored('open', 60, 'up:more')] })
    await clock.advance(1_000)
    expect(board.words().get('up:5')).toBe('closed')
    expect(board.words().size).toBe(1_000)
  })
})
