/** Checks before a handler: each throws, or waits, or lets pass. One middleware for all of them keeps the way short. */
import type { MiddlewareHandler } from 'hono'
import type { AppContext, AppEnv } from './request-context.ts'

export type Check = (c: AppContext) => undefined | Promise<void>

export const guard = (...checks: Check[]): MiddlewareHandler<AppEnv> =>
  // Not an async function: a check that need not wait costs no promise.
  function guard(c, next) {
    const from = (start: number): Promise<void> => {
      for (let i = start; i < checks.length; i++) {
        const waits = checks[i]!(c)
        if (waits) return waits.then(() => from(i + 1))
      }
      return next()
    }
    return from(0)
  }
