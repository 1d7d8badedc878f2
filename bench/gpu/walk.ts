/**
 * The whole way from an offer to the bill, against the sandbox's Vast.ai: find, reserve, deploy, chat, lose a host, scale,
 * end, pay. Every promise on the way is checked, and the market's own bill has the last word.
 */
import OpenAI from 'openai'
import type { Sandbox } from '../../adapters/sandbox/sandbox.ts'
import { parseLabel } from '../../src/domain/rental.ts'
import { compareBills } from './bill.ts'
import { chat, startTalk } from './talk.ts'
import { type Answer, awaited, createTranscript, type Transcript, type TranscriptOptions } from './transcript.ts'

export type Market = NonNullable<Sandbox['vastai']>

interface Walk extends Transcript {
  market: Market
  client: OpenAI
  pollMs: number
}

const gpu = '/api/v1/gpu'
const filters = { provider: 'vastai', min_vram: 24, gpu_count: 1, max_price: 0.8 }
const query = Object.entries(filters).map(([name, value]) => `${name}=${value}`)
const atOnce = 4

/** Answers what did not hold. */
export async function walk({ market, ...options }: TranscriptOptions & { market: Market }): Promise<string[]> {
  const { url, apiKey, pollMs } = options
  const client = new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 })
  const w: Walk = { ...createTranscript(options), market, client, pollMs }

  w.step('Find what fits')
  const found = await w.ask(`${gpu}/offers?${query.join('&')}&limit=3`)
  for (const { gpu_model, location, price_per_hour } of found.body.offers) {
    w.tell(`${gpu_model}, ${location ?? 'somewhere'}: $${price_per_hour} an hour, all in`)
  }
  const { available } = (await w.ask('/api/v1/billing/balance')).body
  w.tell(`$${available} to spend`)

  await reserve(w)
  const path = await deploy(w)
  await loseHost(w, path)
  await scale(w, path)

  w.step('End it')
  const ended = await w.ask(path, { method: 'DELETE' })
  w.tell(`${ended.status}: ${ended.body.status}`)
  await w.until(path, ({ status }) => status === 404)
  w.tell('404: nothing is left of it')
  checkGone(w)

  w.step("The bill, beside the market's own")
  await compareBills(w, market, available)
  return w.failed()
}

async function reserve(w: Walk) {
  w.step('Reserve two machines on two hosts, all or none; reach one; give both back')
  const config = { image: 'vllm/vllm-openai', args: ['--model', 'tinyllama'], ports: [8000], max_hours: 1 }
  const order = { count: 2, filters, spread: true, config }
  const { status, body } = await w.ask(`${gpu}/reservations`, { method: 'POST', body: order })
  const pair = idsOf(body)
  w.name(body.id, '$RESERVATION')
  for (const [n, id] of pair.entries()) w.name(id, `$RESERVED_${n + 1}`)
  w.tell(`${status}: ${pair.join(' and ')} are ${body.status}`)
  const up = await w.until(`${gpu}/reservations/${body.id}`, (answer) =>
    answer.body.instances.every((each: { status: string }) => each.status === 'running'),
  )
  const prices = up.body.instances.map((each: { price_per_hour: number }) => `$${each.price_per_hour}`)
  w.tell(`both run, ${prices.join(' and ')} an hour`)
  const reached = await w.ask(`${gpu}/instances/${pair[0]}/proxy/v1/models`)
  w.tell(`${reached.status}: ${reached.body.data.map(({ id }: { id: string }) => id)} is served there`)
  for (const id of pair) {
    const ending = await w.ask(`${gpu}/instances/${id}`, { method: 'DELETE' })
    w.tell(`${ending.status}: ${ending.body.status}`)
  }
  await w.until(`${gpu}/instances`, (answer) => answer.body.instances.length === 0)
  w.tell('200: none is left')
  checkGone(w)
}

/** Answers the path of the deployment. */
async function deploy(w: Walk): Promise<string> {
  w.step('Serve a model on two machines')
  const order = { model: 'llama-3.1-8b', name: 'mine', replicas: 2, ...filters }
  const { status, body } = await w.ask(`${gpu}/deployments`, { method: 'POST', body: order })
  const path = `${gpu}/deployments/${body.id}`
  w.name(body.id, '$DEPLOYMENT')
  w.tell(`${status}: ${stands(body)}`)
  const ready = await w.until(path, isReady(2))
  w.tell(`${ready.status}: ${stands(ready.body)}`)
  for (const [n, id] of idsOf(ready.body).entries()) w.name(id, `$MACHINE_${n + 1}`)

  w.step('Chat through /v1, streamed, by the official SDK')
  const explain = { method: 'POST', body: { model: 'mine' } } as const
  const isPlanned = ({ body }: Answer) => body.plan?.filter(isRented).length === 2
  const explained = await w.until('/api/v1/route/explain', isPlanned, explain)
  w.tell(`200: ${explained.body.plan.map(({ provider }: { provider: string }) => provider).join(', then ')}`)
  w.request("openai.chat.completions.create({ model: 'mine', stream: true, … })")
  const { text, provider } = await chat(w.client, 'mine')
  w.tell(`${text.slice(0, 20)} …`)
  w.check('a rented machine answers', provider === 'rented', provider)
  return path
}

async function loseHost(w: Walk, path: string) {
  w.step('Kill a host in the middle of an answer, with conversations going on')
  const machines = idsOf((await w.read(path)).body)
  const hosts = new Map(machines.map((id) => [id, hostOf(w, id)]))
  const answered = () => new Map([...hosts].map(([id, { calls }]) => [id, calls.filter(isChat).length]))
  const before = answered()
  w.request(`${atOnce} × openai.chat.completions.create({ model: 'mine', stream: true, … }), again and again`)
  const talk = startTalk(w.client, 'mine', atOnce)
  const [lost, host] = await awaited(() => {
    const busy = [...hosts].find(([, { calls }]) => calls.some((call) => isChat(call) && call.closedAt === undefined))
    return talk.answered >= 3 * atOnce ? busy : undefined
  }, w.pollMs)
  w.tell(`${talk.answered} answers; now ${lost} is lost, with what is under way there`)
  w.market.loseHost(machineOf(w, lost))
  await host.goDown()
  const others = (answer: Answer) => isReady(2)(answer) && !idsOf(answer.body).includes(lost)
  const again = await w.until(path, others)
  const successor = idsOf(again.body).find((id) => !machines.includes(id))!
  w.name(successor, '$MACHINE_3')
  w.tell(`${again.status}: ${stands(again.body)}, ${successor} in its place`)
  hosts.set(successor, hostOf(w, successor))
  w.request('… until the new machine answers, too')
  await awaited(() => answered().get(successor) || undefined, w.pollMs)
  await talk.stop()
  for (const [id, count] of answered()) w.tell(`${id} was asked ${count - (before.get(id) ?? 0)} times`)
  const whole = `${talk.answered} whole, ${talk.failed.length} failed${talk.failed.length > 0 ? `, ${talk.failed[0]}` : ''}`
  w.check('every answer came whole', talk.failed.length === 0, whole)
}

async function scale(w: Walk, path: string) {
  w.step('Scale up and down')
  const known = idsOf((await w.read(path)).body)
  for (const replicas of [3, 1]) {
    const scaled = await w.ask(path, { method: 'PATCH', body: { replicas } })
    w.tell(`${scaled.status}: ${stands(scaled.body)}`)
    const there = await w.until(path, (answer) => isReady(replicas)(answer) && idsOf(answer.body).length === replicas)
    w.tell(`${there.status}: ${stands(there.body)}`)
    for (const id of idsOf(there.body)) if (!known.includes(id)) w.name(id, '$MACHINE_4')
  }
}

function checkGone({ check, market }: Walk) {
  const left = market.machines().length
  check('the market has no machine of ours', left === 0, `${left} left`)
}

const isReady =
  (wanted: number) =>
  ({ body }: Answer) =>
    body.status === 'ready' && body.ready_replicas === wanted
const idsOf = ({ instances }: Answer['body']): string[] => instances.map(({ id }: { id: string }) => id)
const stands = ({ status, ready_replicas, replicas }: Answer['body']) =>
  `${status}, ${ready_replicas} of ${replicas} answer`
const isRented = ({ provider }: { provider: string }) => provider.startsWith('rented/')
const isChat = ({ path }: { path: string }) => path === '/v1/chat/completions'

/** The market's own id for the machine of an instance. */
const machineOf = ({ market }: Walk, instance: string): string =>
  market.machines().find(({ label }) => parseLabel(label)?.rentalId === instance)!.id
const hostOf = (w: Walk, instance: string) => w.market.host(machineOf(w, instance))!
