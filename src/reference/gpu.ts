/** `/api/v1/gpu`: offers, machines, reservations. */
import type { ErrorCode } from '../errors.ts'
import { query as adviceQuery } from '../routes/advice.ts'
import { query as offersQuery } from '../routes/gpu.ts'
import * as instances from '../routes/instances.ts'
import { nothing } from '../routes/parse.ts'
import { body as preferenceBody } from '../routes/preferences.ts'
import { query as pricesQuery } from '../routes/prices.ts'
import { body as reservationBody } from '../routes/reservations.ts'
import type { RouteDoc } from './route.ts'
import * as shapes from './shapes.ts'

const rentErrors: ErrorCode[] = [
  ...(['insufficient_credit', 'budget_exceeded', 'guardrail_exceeded', 'provider_not_configured'] as const),
  ...(['upstream_credential', 'upstream_unavailable', 'circuit_open'] as const),
]
const marketErrors: ErrorCode[] = [
  'provider_not_configured',
  'upstream_unavailable',
  'circuit_open',
  'upstream_throttled',
]
const location = { Location: 'Where it is looked at.' }
const one = { id: '$INSTANCE_ID' }
const onePreference = {
  words: {
    name: 'Of the preference: letters, digits and `._-`.',
    models: 'GPU models, the most wanted first.',
    status: 'How the list was had.',
  },
}
const base = { section: 'GPU market', access: 'gpu' } as const

export const gpuRoutes: RouteDoc[] = [
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/offers',
    name: 'listOffers',
    summary: 'Search offers',
    about:
      'Over every market, with all-in prices. A market that is down shortens the list and says so under `providers`; it does not fail it.',
    query: offersQuery,
    headers: { 'Cache-Control': '`no-cache`: rather not from a cache; lists are then at most 15 s old.' },
    answers: {
      200: {
        about: 'The offers, by preference or else the cheapest first.',
        json: shapes.offersAnswer,
        headers: { 'x-cache': 'How the lists were found.' },
      },
    },
    errors: ['preference_not_found'],
    examples: [
      { title: 'The three cheapest RTX 4090', query: { gpu_model: 'RTX 4090', max_price: '5', limit: '3' } },
      { title: 'Most memory first', query: { min_vram: '40', sort: 'vram', limit: '3' } },
    ],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/prices',
    name: 'listPrices',
    summary: 'Look at the history of prices',
    about:
      'For one GPU and hour, of each market the cheapest, with the percentile at which today’s price stands and what a bid would have to be.',
    query: pricesQuery,
    answers: {
      200: {
        about: 'Up to a hundred GPU models.',
        json: shapes.pricesAnswer,
        headers: { 'x-cache': 'How they were found.' },
      },
    },
    examples: [{ title: 'The last week of one model', query: { gpu_model: 'RTX 4090', days: '7' } }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/advice',
    name: 'getAdvice',
    summary: 'Ask whether to rent or to buy',
    about:
      'For the traffic of this account in the last thirty days: what each model’s tokens cost, and what they would on rented machines.',
    query: adviceQuery,
    words: { model: 'Of one model alone, also where it was not used.' },
    answers: { 200: { about: 'The models that cost most.', json: shapes.adviceAnswer } },
    examples: [{ title: 'For one model', query: { model: 'llama-3.1-8b' } }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/preferences',
    name: 'listPreferences',
    summary: 'List my preferences',
    answers: { 200: { about: 'By name.', json: shapes.preferencesAnswer } },
    examples: [{ title: 'All of them' }],
  },
  {
    ...base,
    ...onePreference,
    method: 'PUT',
    path: '/api/v1/gpu/preferences/{name}',
    name: 'savePreference',
    summary: 'Save a preference',
    about: 'GPU models in order of preference, and filters. Whatever takes a search takes `preference`, its name.',
    body: { schema: preferenceBody },
    errors: ['too_many_preferences'],
    writes: true,
    answers: {
      200: { about: 'Changed.', json: shapes.preference },
      201: { about: 'New.', json: shapes.preference },
    },
    examples: [
      {
        title: 'One model before another',
        params: { name: 'training' },
        body: {
          models: ['H100', 'RTX 4090'],
          filters: { min_reliability: 0.9 },
          max_price: 10,
          fallback_price_percent: 20,
        },
      },
    ],
  },
  {
    ...base,
    ...onePreference,
    method: 'GET',
    path: '/api/v1/gpu/preferences/{name}',
    name: 'getPreference',
    summary: 'Look at a preference',
    answers: { 200: { about: 'The preference.', json: shapes.preference } },
    errors: ['preference_not_found'],
    examples: [{ title: 'One preference', params: { name: 'training' } }],
  },
  {
    ...base,
    ...onePreference,
    method: 'GET',
    path: '/api/v1/gpu/preferences/{name}/offers',
    name: 'tryPreference',
    summary: 'Try a preference out',
    about: 'What it would take now, and why. Nothing is rented.',
    answers: { 200: { about: 'Each model in order.', json: shapes.preferenceTried } },
    errors: ['preference_not_found'],
    examples: [{ title: 'One preference', params: { name: 'training' } }],
  },
  {
    ...base,
    ...onePreference,
    method: 'DELETE',
    path: '/api/v1/gpu/preferences/{name}',
    name: 'removePreference',
    summary: 'Remove a preference',
    writes: true,
    answers: { 204: { about: 'Removed.' } },
    errors: ['preference_not_found'],
    examples: [{ title: 'One preference', params: { name: 'training' } }],
  },
  {
    ...base,
    method: 'POST',
    path: '/api/v1/gpu/instances',
    name: 'rentInstance',
    summary: 'Rent a machine',
    about:
      'By an offer, or by filters that say what to look for. The first hour is set aside from the credit. Where the outcome at the market is not known, the answer is 202, and the machine is found or given up within minutes.',
    body: { schema: instances.body },
    idempotencyKey: 'required',
    writes: true,
    answers: {
      201: { about: 'Rented.', json: shapes.instance, headers: location },
      202: { about: 'The market has not said yet.', json: shapes.instance, headers: location },
    },
    errors: [...rentErrors, 'preference_not_found', 'bid_too_low', 'offer_not_found', 'offer_gone', 'market_refused'],
    examples: [
      {
        title: 'The cheapest that fits',
        headers: { 'Idempotency-Key': 'training-1' },
        body: {
          filters: { provider: 'vastai', gpu_model: 'RTX 4090', max_price: 5 },
          image: 'ubuntu:24.04',
          disk_gb: 20,
          ports: [8000],
          max_hours: 2,
        },
      },
    ],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/instances',
    name: 'listInstances',
    summary: 'List my machines',
    query: instances.page,
    answers: { 200: { about: 'The newest first.', json: shapes.instancesAnswer } },
    examples: [{ title: 'The newest ten', query: { limit: '10' } }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/instances/{id}',
    name: 'getInstance',
    summary: 'Look at a machine',
    answers: { 200: { about: 'The machine.', json: shapes.instance } },
    errors: ['instance_not_found'],
    examples: [{ title: 'One machine', params: one }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/instances/{id}/logs',
    name: 'getInstanceLogs',
    summary: 'Read a machine’s log',
    query: nothing,
    answers: { 200: { about: 'What the container has written lately.', types: ['text/plain'] } },
    errors: ['instance_not_found', 'instance_not_running', 'instance_state', 'unsupported_by_market', ...marketErrors],
    examples: [{ title: 'One machine', params: one }],
  },
  {
    ...base,
    method: 'POST',
    path: '/api/v1/gpu/instances/{id}/stop',
    name: 'stopInstance',
    summary: 'Stop a machine',
    about: 'Its disk is kept, and paid for. Not every market can do that.',
    body: { schema: nothing, optional: true },
    writes: true,
    answers: { 202: { about: 'Being stopped.', json: shapes.instance, headers: location } },
    errors: ['instance_not_found', 'instance_state', 'unsupported_by_market', 'market_refused', ...marketErrors],
    examples: [{ title: 'One machine', params: one }],
  },
  {
    ...base,
    method: 'POST',
    path: '/api/v1/gpu/instances/{id}/start',
    name: 'startInstance',
    summary: 'Start a stopped machine',
    body: { schema: nothing, optional: true },
    writes: true,
    answers: { 202: { about: 'Being started.', json: shapes.instance, headers: location } },
    errors: ['instance_not_found', 'instance_state', 'unsupported_by_market', 'market_refused', ...marketErrors],
    examples: [{ title: 'One machine', params: one }],
  },
  {
    ...base,
    method: 'DELETE',
    path: '/api/v1/gpu/instances/{id}',
    name: 'endInstance',
    summary: 'Destroy a machine',
    about: 'It and its disk are gone; once that is so, the machine is a 404.',
    writes: true,
    answers: { 202: { about: 'Being destroyed.', json: shapes.instance, headers: location } },
    errors: ['instance_not_found'],
    examples: [{ title: 'One machine', params: one }],
  },
  ...(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const).map(
    (method): RouteDoc => ({
      ...base,
      method,
      path: '/api/v1/gpu/instances/{id}/proxy/{path}',
      name: `${method.toLowerCase()}AtInstance`,
      summary: 'Reach what a machine serves',
      about:
        'Path, query, body and headers go to the machine as they are, without credentials; its answer comes back as it is.',
      words: { path: 'At the machine; whatever it holds.' },
      headers: { 'x-gpuproxy-port': 'Which of the published ports. By default the first.' },
      answers: { 200: { about: 'Whatever the machine answers, with whatever status.', types: ['*/*'] } },
      errors: [
        ...(['instance_not_found', 'instance_not_running', 'instance_unreachable', 'upstream_timeout'] as const),
        ...(['invalid_header', 'body_too_large', 'connect_timeout', 'headers_timeout'] as const),
      ],
      examples: [
        {
          title: 'The echo of a sandbox machine',
          params: { ...one, path: 'echo' },
          ...((method === 'POST' || method === 'PUT' || method === 'PATCH') && { body: { hello: 'machine' } }),
        },
      ],
    }),
  ),
  {
    ...base,
    method: 'POST',
    path: '/api/v1/gpu/reservations',
    name: 'makeReservation',
    summary: 'Rent several machines, all or none',
    body: { schema: reservationBody },
    idempotencyKey: 'required',
    writes: true,
    answers: {
      201: { about: 'All are rented.', json: shapes.reservation, headers: location },
      202: { about: 'The market has not said yet of all of them.', json: shapes.reservation, headers: location },
    },
    errors: [...rentErrors, 'preference_not_found', 'not_enough_offers', 'market_refused'],
    examples: [
      {
        title: 'Two of a kind',
        headers: { 'Idempotency-Key': 'cluster-1' },
        body: {
          count: 2,
          filters: { provider: 'vastai', gpu_model: 'RTX 4090', max_price: 5 },
          config: { image: 'ubuntu:24.04' },
        },
      },
    ],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/reservations/{id}',
    name: 'getReservation',
    summary: 'Look at a reservation',
    answers: { 200: { about: 'The reservation and its machines.', json: shapes.reservation } },
    errors: ['reservation_not_found'],
    examples: [{ title: 'One reservation', params: { id: '$RESERVATION_ID' } }],
  },
]
