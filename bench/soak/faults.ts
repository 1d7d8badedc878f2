/** What befalls a soak: one fault at a time, picked by chance, and a while in which all is well. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Mode } from '../gameday/provider.ts'
import type { Setting } from '../gameday/setting.ts'

interface Fault {
  name: string
  begin(setting: Setting): Promise<unknown>
  end(setting: Setting): Promise<unknown>
}

export interface Spell {
  fault: string
  /** In ms of the clock that was handed in; `to` is when it was mended. */
  from: number
  to: number
}

const provider = (name: string, mode: Mode): Fault => ({
  name: `a provider ${name}`,
  begin: ({ provider }) => provider.set('a', mode),
  end: ({ provider }) => provider.set('a', { kind: 'well' }),
})

const faults: Fault[] = [
  provider('refuses', { kind: 'refused' }),
  provider('fails 30 %', { kind: 'errors', share: 0.3, status: 503 }),
  provider('throttles', { kind: 'errors', share: 1, status: 429, retryAfterS: 2 }),
  provider('says nothing', { kind: 'hangs' }),
  provider('is late with 10 %', { kind: 'late', share: 0.1, ms: 1_000 }),
  provider('resets 20 % of its streams', { kind: 'resets', share: 0.2 }),
  {
    name: 'Redis is cut off',
    begin: ({ links }) => links.redis.set('cut'),
    end: ({ links }) => links.redis.set('well'),
  },
  {
    name: 'Redis is silent',
    begin: ({ links }) => links.redis.set('silent'),
    end: ({ links }) => links.redis.set('well'),
  },
  {
    name: 'the primary is cut off',
    begin: ({ links }) => links.primary.set('cut'),
    end: ({ links }) => links.primary.set('well'),
  },
  {
    name: 'the primary stands still',
    begin: ({ servers }) => servers.primary.freeze(),
    end: ({ servers }) => servers.primary.thaw(),
  },
  {
    name: 'the standby is cut off',
    begin: ({ links }) => links.standby.set('cut'),
    end: ({ links }) => links.standby.set('well'),
  },
]

/** Seconds. */
const lasts = { from: 2, to: 6 }
const rests = { from: 4, to: 10 }

/** Ends within the fault that it is in when the time is over, and mends it. */
export async function trouble(options: {
  setting: Setting
  random: () => number
  now: () => number
  untilMs: number
  say: (line: string) => void
}): Promise<Spell[]> {
  const { setting, random, now, untilMs, say } = options
  const spells: Spell[] = []
  const seconds = ({ from, to }: typeof lasts) => (from + random() * (to - from)) * 1_000
  for (;;) {
    await sleep(Math.min(seconds(rests), Math.max(0, untilMs - now())))
    if (now() >= untilMs) return spells
    const fault = faults[Math.floor(random() * faults.length)]!
    const from = now()
    say(fault.name)
    await fault.begin(setting)
    await sleep(Math.min(seconds(lasts), Math.max(0, untilMs - now())))
    await fault.end(setting)
    spells.push({ fault: fault.name, from, to: now() })
  }
}
