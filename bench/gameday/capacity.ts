/** What the loads of the rows are shares of: what one gateway on one core answers, and what the provider itself can do. */
import { findPeak } from '../find-peak.ts'
import { type Kind, startLoad } from './load.ts'
import type { Capacity } from './row.ts'
import { chats, inSetting, streams } from './setting.ts'

const stepSeconds = 2
const longStream = 200

export async function measureCapacity(say: (line: string) => void): Promise<Capacity> {
  return inSetting({ size: 1, provider: { streamTokens: longStream, tokenMs: 0 } }, async ({ urls, provider }) => {
    const peak = async (name: string, targets: readonly string[], kind: (perSecond: number) => Kind) => {
      const found = await findPeak(async (perSecond) => {
        const load = await startLoad(targets, [kind(perSecond)], stepSeconds)
        const sent = await load.done
        const last = Math.max(...sent.map(({ at, ms }) => at + ms))
        return sent.filter(({ whole }) => whole).length / Math.max(stepSeconds, last / 1_000)
      })
      say(`${name}: ${found.toFixed(0)} a second at most`)
      return found
    }
    return {
      provider: await peak('the provider itself, with this generator', [provider.urls.direct], (perSecond) =>
        chats(perSecond),
      ),
      chats: await peak('small completions through a gateway', urls(), (perSecond) => chats(perSecond)),
      streams: await peak('streams of 200 tokens through a gateway', urls(), (perSecond) => streams(perSecond)),
    }
  })
}
