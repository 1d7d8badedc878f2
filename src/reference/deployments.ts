/** `/api/v1/gpu/deployments`. */
import { body, change, page } from '../routes/deployments.ts'
import type { RouteDoc } from './route.ts'
import * as shapes from './shapes.ts'

const location = { Location: 'Where it is looked at.' }
const one = { id: '$DEPLOYMENT_ID' }
const base = { section: 'Deployments', access: 'gpu' } as const

export const deploymentRoutes: RouteDoc[] = [
  {
    ...base,
    method: 'POST',
    path: '/api/v1/gpu/deployments',
    name: 'createDeployment',
    summary: 'Serve a model',
    about:
      'Machines are rented, the model is loaded, and requests under `/v1` that ask for its name go there. Until one is ready, and when none is, the fallbacks answer.',
    body: { schema: body },
    idempotencyKey: 'required',
    writes: true,
    answers: { 202: { about: 'Begun.', json: shapes.deployment, headers: location } },
    errors: [
      ...(['insufficient_credit', 'budget_exceeded', 'guardrail_exceeded', 'provider_not_configured'] as const),
      ...(['deployment_name_taken', 'too_many_deployments'] as const),
    ],
    examples: [
      {
        title: 'On one machine',
        headers: { 'Idempotency-Key': 'llama-1' },
        body: {
          model: 'llama-3.1-8b',
          name: 'my-llama',
          gpu_model: 'RTX 4090',
          max_price: 5,
          replicas: 1,
          max_hours: 2,
          fallbacks: ['gpt-4o-mini'],
        },
      },
    ],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/deployments',
    name: 'listDeployments',
    summary: 'List my deployments',
    query: page,
    answers: { 200: { about: 'The newest first.', json: shapes.deploymentsAnswer } },
    examples: [{ title: 'All of them' }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/gpu/deployments/{id}',
    name: 'getDeployment',
    summary: 'Look at a deployment',
    answers: { 200: { about: 'The deployment and its machines.', json: shapes.deployment } },
    errors: ['deployment_not_found'],
    examples: [{ title: 'One deployment', params: one }],
  },
  {
    ...base,
    method: 'PATCH',
    path: '/api/v1/gpu/deployments/{id}',
    name: 'scaleDeployment',
    summary: 'Change the number of machines',
    body: { schema: change },
    writes: true,
    answers: { 200: { about: 'As it is to be.', json: shapes.deployment } },
    errors: ['deployment_not_found', 'deployment_ending'],
    examples: [{ title: 'To two', params: one, body: { replicas: 2 } }],
  },
  {
    ...base,
    method: 'DELETE',
    path: '/api/v1/gpu/deployments/{id}',
    name: 'endDeployment',
    summary: 'End a deployment',
    about: 'Its machines finish what they are at, and are destroyed. Then it is a 404.',
    writes: true,
    answers: { 202: { about: 'Ending.', json: shapes.deployment, headers: location } },
    errors: ['deployment_not_found'],
    examples: [{ title: 'One deployment', params: one }],
  },
]
