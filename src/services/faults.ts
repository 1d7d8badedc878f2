/** Faults on an administrator's word, where the operator allows them at all. */
import { ApiError } from '../errors.ts'
import type { FaultInForce, FaultInjection, FaultToSet } from '../upstream/fault-injection.ts'

export { faultKinds } from '../upstream/fault-injection.ts'
export type { FaultInForce, FaultToSet }

export interface Faults {
  list(): FaultInForce[]
  /** Replaces all. @throws ApiError `faults_disabled`, `invalid_body` */
  set(faults: readonly FaultToSet[]): FaultInForce[]
}

export interface FaultsOptions {
  injection: FaultInjection
  allowed: boolean
}

export function createFaults({ injection, allowed }: FaultsOptions): Faults {
  return {
    list: injection.list,
    set(faults) {
      if (!allowed) throw new ApiError('faults_disabled')
      injection.set(faults)
      return injection.list()
    },
  }
}

interface FaultFlags {
  NODE_ENV: 'development' | 'test' | 'production'
  FAULTS_ENABLED?: boolean | undefined
  FAULTS_IN_PRODUCTION?: boolean | undefined
}

/** In production one variable is not enough: a setting that came along from elsewhere must do no harm. */
export function faultsAllowed({ NODE_ENV, FAULTS_ENABLED, FAULTS_IN_PRODUCTION }: FaultFlags): boolean {
  if (NODE_ENV === 'production') return FAULTS_ENABLED === true && FAULTS_IN_PRODUCTION === true
  return FAULTS_ENABLED !== false
}
