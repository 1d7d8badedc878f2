/**
 * How long to wait after so many attempts to sign in. An attempt is counted before its password is looked at, and taken
 * back when it was right: what is asked at the same moment on many pods is counted one by one.
 */
export interface SignInSubject {
  /**
   * `address`: whoever is there, whatever account they try. `email`: the account, tried from places that it was never
   * signed in from. `pair`: the account from a place that it was: strangers cannot lock its owner out there.
   */
  kind: 'address' | 'email' | 'pair'
  value: string
}

/** Attempts that nobody has to wait after. */
const free: Record<SignInSubject['kind'], number> = { address: 20, email: 5, pair: 10 }
const firstDelayMs = 1_000
const maxDelayMs = 5 * 60_000
/** A subject that was quiet for so long begins anew. */
export const forgetAfterMs = 60 * 60_000

/** 0 = the next one may come at once. */
export function delayAfter(kind: SignInSubject['kind'], attempts: number): number {
  if (attempts < free[kind]) return 0
  // Beyond so many doublings the limit holds; a larger exponent would leave the range of numbers.
  return Math.min(firstDelayMs * 2 ** Math.min(attempts - free[kind], 30), maxDelayMs)
}
