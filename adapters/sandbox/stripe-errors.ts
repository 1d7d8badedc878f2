/** Stripe's error envelope, and the errors that its statuses stand for: docs.stripe.com/api/errors */
import { jsonAnswer, type WholeAnswer } from './vendor.ts'

interface StripeError {
  type?: string
  message: string
  code?: string
  param?: string
}

export function stripeError(status: number, { type = 'invalid_request_error', ...error }: StripeError): WholeAnswer {
  return jsonAnswer(status, { error: { type, ...error } })
}

/** For faults: what Stripe says with a status when the request itself does not decide it. */
export function stripeErrorFor(status: number, code?: string): WholeAnswer {
  const error = errors[status] ?? { type: 'api_error', message: 'An error occurred on our end.' }
  return stripeError(status, { ...error, ...(code !== undefined && { code }) })
}

const errors: Record<number, StripeError> = {
  400: { message: 'Invalid request.' },
  401: { message: 'Invalid API Key provided.' },
  402: { type: 'card_error', message: 'Your card was declined.', code: 'card_declined' },
  403: { message: 'The provided key does not have the required permissions.' },
  404: { message: 'Unrecognized request URL.' },
  409: {
    type: 'idempotency_error',
    message: 'There is currently another in-progress request using this idempotency key.',
    code: 'idempotency_key_in_use',
  },
  413: { message: 'Request body too large.' },
  424: { type: 'api_error', message: 'A dependency outside of Stripe failed.' },
  429: { message: 'Request rate limit exceeded.', code: 'rate_limit' },
}
