import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeHttp, type ScriptedReply } from '../../tests/support/fake-http.ts'
import { marketControl, passUntil } from '../../tests/support/market-control.ts'
import { microUsd } from '../domain/money.ts'
import { HttpFailure } from '../ports.ts'
import type { MachineOrder } from './market.ts'

const { signal } = new AbortController()
/** One RTX 5090 at $0.58, of which there are eight. */
const order: MachineOrder = {
  offerId: '1015',
  label: 'aiserve-0123abcd-0198c0de-0000-7000-8000-000000000001',
  spec: {
    image: 'vllm/vllm-openai',
    diskGb: 20,
    env: { MODEL: 'm' },
    ports: [8000],
    args: ['--model', 'm'],
    onstart: undefined,
    label: undefined,
    maxPrice: undefined,
    maxHours: undefined,
    bid: undefined,
    replace: false,
  },
  hours: 1,
  pricePerHour: microUsd(0.58),
  gpuCount: 1,
}

function world() {
  const { clock, market, control, controls } = marketControl('ionet')
  const pass = <T>(work: Promise<T>) => passUntil(clock, work)
  const create = (more: Partial<MachineOrder> = {}) => pass(control.create({ ...order, ...more }, signal))
  return { clock, market, control, controls, pass, create }
}

it('buys an hour, then another, and what was paid is the bill', async () => {
  const { clock, control, controls, pass, create } = world()
  const made = await create()
  expect(made.outcome).toBe('created')
  const id = 'machineId' in made ? made.machineId : ''
  expect(controls.machines()).toMatchObject([{ label: order.label }])
  await clock.advance(5_000)
  const machine = await pass(control.show(id, signal))
  expect(machine).toMatchObject({ id, status: 'running', endpoints: [{ port: undefined }] })
  expect(machine!.startedAt!.getTime()).toBeLessThan(clock.wallNow())
  expect(await pass(control.list(signal))).toMatchObject([{ id, label: order.label, status: 'running' }])
  expect(await pass(control.extend(id, 1, signal))).toBe('bought')
  expect(await pass(control.bill(id, new Date(0), signal))).toBe(microUsd(1.16))
  expect(await pass(control.destroy(id, signal))).toBe('accepted')
  await clock.advance(10_000)
  expect(await pass(control.show(id, signal))).toBeUndefined()
  expect(await pass(control.list(signal))).toEqual([])
})

it('deploys nothing where the questions before took so long that its rental is given up', async () => {
  const { create, controls, market } = world()
  market.setFaults([
    { kind: 'hang', times: 2 },
    { kind: 'slow_headers', ms: 12_000 },
  ])
  expect(await create()).toMatchObject({ outcome: 'not_sent' })
  expect(controls.machines()).toEqual([])
})

it('deploys nothing that costs more by now, that nobody has, or that it cannot do', async () => {
  const { create, controls } = world()
  expect(await create({ pricePerHour: microUsd(0.57) })).toEqual({ outcome: 'gone' })
  expect(await create({ offerId: '9' })).toEqual({ outcome: 'gone' })
  expect((await create({ spec: { ...order.spec, onstart: 'x' } })).outcome).toBe('refused')
  expect(controls.machines()).toEqual([])
})

it('cannot tell whether a name that is taken is its own machine', async () => {
  const { create, controls } = world()
  await create()
  expect(await create()).toEqual({ outcome: 'unknown' })
  expect(controls.machines()).toHaveLength(1)
})

it('sends a deployment and an extension once, and tells which of them may have been done', async () => {
  const { market, create, control, controls, pass } = world()
  market.setFaults([{ kind: 'reset', match: { path: '/deploy', method: 'POST' } }])
  expect(await create()).toEqual({ outcome: 'unknown' })
  market.setFaults([])
  const made = await create({ label: 'another' })
  const id = 'machineId' in made ? made.machineId : ''
  market.setFaults([{ kind: 'status', status: 500 }])
  const calls = market.calls()
  expect(await pass(control.extend(id, 1, signal))).toBe('unknown')
  expect(market.calls() - calls).toBe(1)
  market.goDown()
  await expect(pass(control.extend(id, 1, signal))).rejects.toThrow('not_sent')
  expect(controls.machines().filter(({ label }) => label === 'another')).toHaveLength(1)
})

it('lists every page', async () => {
  const { create, control, controls, pass } = world()
  const made = await create()
  const id = 'machineId' in made ? made.machineId : ''
  for (let n = 0; n < 150; n++) controls.duplicateLabel(id)
  expect(await pass(control.list(signal))).toHaveLength(151)
})

/** What is read of a log that the market writes so. */
function logsOf(...log: (ScriptedReply | HttpFailure)[]) {
  const clock = new FakeClock()
  const workers = [{ container_id: 'c', public_url: null }]
  const http = new FakeHttp(clock, { body: { data: { workers } } }, ...log)
  const { control } = marketControl('ionet', clock, { http })
  return passUntil(clock, control.logs('d', signal))
}

it('reads a log that goes on for as long as one listens', async () => {
  expect(await logsOf({ chunks: ['one\n', 'two\n', 'silence'] })).toBe('one\ntwo\n')
  const headers = { 'content-type': 'text/event-stream; charset=utf-8' }
  expect(await logsOf({ headers, chunks: ['id: 1\ndata: one\n\n: quiet\n\ndata: two\n\n', 'silence'] })).toBe(
    'one\ntwo\n',
  )
})

it('reads the last lines of a log that is longer than a megabyte', async () => {
  const lines = Array.from({ length: 3_000 }, (_, n) => `${n} ${'x'.repeat(1_000)}\n`)
  const read = await logsOf({ chunks: lines })
  expect(read.length).toBeLessThanOrEqual(1024 * 1024)
  expect(read.length).toBeGreaterThan(1_000_000)
  expect(read).toMatch(/^\d+ x/)
  expect(read.endsWith(lines.at(-1)!)).toBe(true)
})

it.each<[ScriptedReply | HttpFailure, string]>([
  [new HttpFailure('not_sent'), 'not_sent'],
  [{ status: 502, chunks: ['<html>'] }, 'server'],
  [{ chunks: [new HttpFailure('cut')] }, 'poison'],
])('says what became of a log that cannot be read', async (reply, failure) => {
  await expect(logsOf(reply)).rejects.toMatchObject({ class: failure })
})
