/** Rows F14, F15 and F20: gateways replaced one after another, one killed, and all at once with a provider and Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import { atLeast, atMost, told } from '../bars.ts'
import { type Balancer, startBalancer } from '../rolling/nginx.ts'
import { apiKey } from '../systems.ts'
import { added, answered, type Drill, rowOf, type Scene } from './drill.ts'
import { isSuccess, type Kind, type Sent } from './load.ts'
import type { GamedayRow } from './row.ts'
import { bodyOf, chats, type Setting, streams } from './setting.ts'

const drain = { DRAIN_DELAY: '3s', DRAIN_TIMEOUT: '60s' }
/** After the signal; a cluster takes seconds, too, of which preStop hides the first ten. */
const lookAwayMs = 1_500
/** Three gateways that start, and look away, one after another. */
const rollingSeconds = 20
const proof = 47_500

const balancers = new WeakMap<Setting, Balancer>()
const balancerOf = (setting: Setting) => balancers.get(setting)!

async function balance({ setting }: Scene) {
  const balancer = await startBalancer(setting.pods[0]!.folder, setting.urls())
  setting.onClose(() => balancer.stop())
  balancers.set(setting, balancer)
}

/** A new one is ready first; then the signal, and only later the balancer looks away. Answers the exit codes. */
async function replaceAll({ setting, say }: Scene): Promise<number[]> {
  const balancer = balancerOf(setting)
  const ends: Promise<number | null>[] = []
  for (const old of setting.pods.slice()) {
    await setting.startPod()
    await balancer.pointTo(setting.urls())
    say(`a gateway is told to end, ${ends.length + 1} of 3`)
    ends.push(old.end('SIGTERM'))
    await sleep(lookAwayMs)
    setting.pods.splice(setting.pods.indexOf(old), 1)
    await balancer.pointTo(setting.urls())
  }
  return (await Promise.all(ends)).map((code) => code ?? Number.NaN)
}

const throughBalancer = {
  // A connection that nginx closes while a request comes on it would be no word on the gateway.
  loadOptions: { keepAlive: false },
  urls: (setting: Setting) => [balancerOf(setting).url],
  before: balance,
}

const rollout: Drill = {
  id: 'F14',
  title: 'each gateway is replaced, one after another',
  ...{ size: 3, load: 0.5, least: proof, faultSeconds: rollingSeconds, env: drain },
  ...throughBalancer,
  kinds: (rates) => [chats(rates.chats * 0.9), streams(rates.streams * 0.1)],
  async begin(scene) {
    scene.notes.codes = await replaceAll(scene)
  },
  end: async () => {},
  bars: ({ sent, during, good, notes }) => [
    answered(100, sent, 'answered, whole run'),
    added(50, during, good),
    atLeast('gateways replaced', 3, notes.codes?.length ?? 0),
    atMost('ends with another code than 0', 0, (notes.codes ?? []).filter((code) => code !== 0).length),
  ],
}

const keyed = (perSecond: number): Kind => ({
  ...chats(perSecond),
  name: 'keyed',
  headers: (number) => ({ 'idempotency-key': keyOf(number) }),
})
const keyOf = (number: number) => `gameday-${number}`

const killed: Drill = {
  id: 'F15',
  title: 'one gateway is killed with -9',
  ...{ size: 3, load: 0.5 },
  kinds: (rates) => [chats(rates.chats * 0.6), keyed(rates.chats * 0.1), streams(rates.streams * 0.3)],
  // Those in flight at the dead one are lost, and counted below.
  success: { full: 99.9, fast: 95 },
  async begin({ setting, load, notes }) {
    // A balancer that knows at once: what is lost is what was in flight.
    const [dead] = setting.pods.splice(1, 1)
    notes.killedAt = [load.now()]
    await dead!.end('SIGKILL')
    folders.set(setting, dead!.folder)
  },
  async end({ setting, load, notes }) {
    await setting.startPod(folders.get(setting)!)
    const lost = load.history.filter((one) => one.kind === 'keyed' && one.requestId === undefined)
    const again = await Promise.all(lost.map((one) => sendAgain(setting, one)))
    notes.again = again
  },
  bars({ sent, records, notes, day }) {
    const at = notes.killedAt?.[0] ?? Number.NaN
    const failed = sent.filter((one) => !isSuccess(one))
    // Of the kill's own second: the generator may be late.
    const inFlight = (one: Sent) => one.at <= at + 50 && one.at + one.ms >= at
    const effects = Map.groupBy(
      records.calls.filter(({ sent }) => sent > 0),
      ({ number }) => number,
    )
    const keys = new Set(sent.filter(({ kind }) => kind === 'keyed').map(({ number }) => number))
    return [
      atMost('failed, beside those in flight at the killed one', 0, failed.filter((one) => !inFlight(one)).length),
      ...(day.name === 'full' ? [answered(99.9, sent, 'answered, whole run')] : []),
      atMost(
        'keys with two effects',
        0,
        [...effects].filter(([number, all]) => keys.has(number) && all.length > 1).length,
      ),
      told(
        'lost in flight',
        `${failed.filter(inFlight).length}; sent again with their key: ${countsOf(notes.again ?? []) || 'none'}`,
      ),
    ]
  },
}

const folders = new WeakMap<Setting, string>()

/** With its own key, to a gateway that lives; answers the status. */
async function sendAgain(setting: Setting, { number = 0 }: Sent): Promise<number> {
  const response = await fetch(`${setting.urls()[0]}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${apiKey}`,
      'idempotency-key': keyOf(number),
    },
    body: bodyOf('pair', number),
  })
  await response.arrayBuffer()
  return response.status
}

const countsOf = (codes: readonly number[]) =>
  [...Map.groupBy(codes, (code) => code)].map(([code, all]) => `${all.length} x ${code}`).join(', ')

const together: Drill = {
  id: 'F20',
  title: 'a provider refuses, Redis is killed and each gateway is replaced, all at once',
  ...{ size: 3, load: 0.5, faultSeconds: rollingSeconds, env: drain, success: 99.9 },
  ...throughBalancer,
  kinds: (rates) => [chats(rates.chats * 0.9), streams(rates.streams * 0.1)],
  async begin(scene) {
    await scene.setting.provider.set('a', { kind: 'refused' })
    await scene.setting.redis.signal('SIGKILL')
    scene.notes.codes = await replaceAll(scene)
  },
  async end({ setting }) {
    await setting.redis.restart()
    await setting.provider.set('a', { kind: 'well' })
  },
  bars: ({ during, good, notes }) => [
    answered(99, during),
    added(500, during, good),
    atMost('ends with another code than 0', 0, (notes.codes ?? []).filter((code) => code !== 0).length),
  ],
}

export const podRows: GamedayRow[] = [rollout, killed, together].map(rowOf)
