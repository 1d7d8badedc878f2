/** `/api/v1/receipts` and `/api/v1/route`. */
import * as z from 'zod'
import type { RouteDoc } from './route.ts'
import * as shapes from './shapes.ts'

const base = { section: 'Receipts' } as const
/** The router reads a chat call's body here, and `assume` besides. */
const question = z.looseObject({
  model: z.string().optional(),
  messages: z.array(z.looseObject({ role: z.string() })).optional(),
  fallbacks: z.array(z.string()).optional(),
  models: z.array(z.string()).optional(),
  assume: z.strictObject({ open: z.array(z.string()).max(64).optional() }).optional(),
})

export const receiptRoutes: RouteDoc[] = [
  {
    ...base,
    method: 'GET',
    path: '/api/v1/receipts/{id}',
    name: 'getReceipt',
    summary: 'Look at a receipt',
    about:
      'Every answer’s `x-request-id` has one, about a second later and for thirty days: each try, where the time went, the price, and a signature.',
    access: 'receipts',
    words: { id: 'The `x-request-id` of the answer.' },
    answers: { 200: { about: 'The receipt.', json: shapes.receipt } },
    errors: ['receipt_not_found'],
    examples: [{ title: 'Of one request', params: { id: '$REQUEST_ID' } }],
  },
  {
    ...base,
    method: 'GET',
    path: '/api/v1/receipts/keys',
    name: 'listReceiptKeys',
    summary: 'The key that checks signatures',
    about: 'A JWK set (RFC 7517). A receipt may be shown to anybody, so this is for anybody.',
    access: 'anyone',
    answers: { 200: { about: 'The public key.', json: shapes.receiptKeys } },
    examples: [{ title: 'The public key' }],
  },
  {
    ...base,
    method: 'POST',
    path: '/api/v1/route/explain',
    name: 'explainRoute',
    summary: 'Ask what would happen to a request',
    about: 'Who would be asked, in which order, and why. Nothing is sent.',
    access: 'inference',
    body: { schema: question },
    answers: { 200: { about: 'The plan.', json: shapes.explanation } },
    errors: ['model_not_found', 'model_not_allowed', 'provider_not_configured', 'stored_state_unsupported'],
    examples: [
      {
        title: 'With a breaker that is assumed to be open',
        body: {
          model: 'gpt-4o-mini',
          messages: [{ role: 'user', content: 'Hello' }],
          assume: { open: ['openai:gpt-4o-mini'] },
        },
      },
    ],
  },
]
