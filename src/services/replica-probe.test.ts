import { expect, it, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeHttp, type Scripted } from '../../tests/support/fake-http.ts'
import { HttpFailure } from '../ports.ts'
import { createReplicaProbe } from './replica-probe.ts'

function world(...script: Scripted[]) {
  const clock = new FakeClock()
  const http = new FakeHttp(clock, ...script)
  const stopping = new AbortController()
  const probe = createReplicaProbe({ http, clock })
  return { clock, http, stopping, ask: () => probe('http://203.0.113.7:4000', 'acme/tiny', 'secret', stopping.signal) }
}
const serves = (...ids: string[]): Scripted => ({ body: { object: 'list', data: ids.map((id) => ({ id })) } })

it('asks for the list of models, with the key of the deployment', async () => {
  const { http, ask } = world(serves('other', 'acme/tiny'))
  expect(await ask()).toBe(true)
  expect(http.calls).toMatchObject([
    {
      method: 'GET',
      origin: 'http://203.0.113.7:4000',
      path: '/v1/models',
      headers: { authorization: 'Bearer secret' },
    },
  ])
})

test.each<[string, Scripted]>([
  ['another model', serves('other')],
  ['no list', { body: { data: 'acme/tiny' } }],
  ['a page', { body: '<html>acme/tiny</html>' }],
  ['a refusal', { status: 401, body: { data: [{ id: 'acme/tiny' }] } }],
  [
    'a redirect',
    { status: 302, headers: { location: 'http://169.254.169.254/' }, body: { data: [{ id: 'acme/tiny' }] } },
  ],
  ['no connection', new HttpFailure('not_sent')],
])('%s is no answer', async (_, reply) => {
  expect(await world(reply).ask()).toBe(false)
})

it('waits five seconds, and no longer than the pod lives', async () => {
  const silent = world('silence')
  const answer = silent.ask()
  await silent.clock.advance(5_000)
  expect(await answer).toBe(false)
  expect(silent.clock.pendingTimers).toBe(0)
  const stopped = world('silence')
  const left = stopped.ask()
  stopped.stopping.abort(new Error('stopping'))
  await expect(left).rejects.toThrow('stopping')
})
