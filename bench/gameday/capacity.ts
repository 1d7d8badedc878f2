/**
 * What the loads of the rows are shares of: the highest rate of an open-loop sweep at which the gateways, which share one
 * core, still keep up, and what the provider and the generator do without any.
 */
import { type Kind, p99, p99Of, type Sent, startLoad } from './load.ts'
import type { Capacity } from './row.ts'
import { chats, inSetting, streams } from './setting.ts'

const stepSeconds = 4
/** What has just started is slow: a sweep that began so has ended at a third of what was found otherwise. */
const warmUpSeconds = 10
const growth = 1.25
/** A rate that is missed once may have met somebody else's work on the machine. */
const triesAtRate = 2
const longStream = 200
/** Beyond this an answer waits for others: the knee. */
const limitMs = { chats: 50, streams: 400 }
/** Of the generator: what it sends late is no word on a gateway. */
const lagLimitMs = 25

interface Sweep {
  name: string
  targets: readonly string[]
  kind: (perSecond: number) => Kind
  firstRate: number
  limitMs: number
  say(line: string): void
}

export async function measureCapacity(size: number, say: (line: string) => void): Promise<Capacity> {
  return inSetting({ size, provider: { streamTokens: longStream, tokenMs: 0 } }, async ({ urls, provider }) => {
    const direct = [provider.urls.direct]
    const small = { kind: (perSecond: number) => chats(perSecond), firstRate: 200, limitMs: limitMs.chats, say }
    return {
      provider: await knee({ ...small, name: 'the provider itself', targets: direct, firstRate: 1_000 }),
      chats: await knee({ ...small, name: `small completions through ${size}`, targets: urls() }),
      streams: await knee({
        name: `streams of ${longStream} tokens through ${size}`,
        targets: urls(),
        kind: (perSecond) => streams(perSecond),
        firstRate: 10,
        limitMs: limitMs.streams,
        say,
      }),
    }
  })
}

async function knee({ name, targets, kind, firstRate, limitMs, say }: Sweep): Promise<number> {
  const keepsUp = async (perSecond: number) => {
    for (let tries = 1; tries <= triesAtRate; tries++) {
      const load = await startLoad(targets, [kind(perSecond)], stepSeconds)
      if (isWell(await load.done, limitMs)) return true
    }
    return false
  }
  let rate = firstRate
  await (await startLoad(targets, [kind(firstRate)], warmUpSeconds)).done
  if (!(await keepsUp(rate))) throw new Error(`${name}: ${rate} a second are too many already; is the machine busy?`)
  while (await keepsUp(rate * growth)) rate *= growth
  say(`${name}: ${rate.toFixed(0)} a second at most`)
  return rate
}

const isWell = (sent: readonly Sent[], limitMs: number) =>
  sent.every(({ whole }) => whole) && p99(sent) <= limitMs && p99Of(sent.map(({ lagMs }) => lagMs)) <= lagLimitMs
