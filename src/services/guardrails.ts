/** What an account may spend within seventeen windows: the stricter of the operator's limits and its own. */
import {
  type Blocked,
  blockedBy,
  strictest,
  type WindowChanges,
  type WindowLimits,
  type WindowState,
  windowNames,
  windowStates,
} from '../domain/guardrails.ts'
import { formatUsd, type MicroUsd } from '../domain/money.ts'
import { ApiError, type ApiErrorOptions } from '../errors.ts'
import type { Clock, Guardrails as GuardrailsPort } from '../ports.ts'

export interface GuardrailsOptions {
  clock: Clock
  port: GuardrailsPort
  /** False: nothing is limited, whatever the limits say. */
  enabled: boolean
  /** The operator's, for every account. */
  defaults: WindowLimits
}

export type GuardrailMode = 'enforce' | 'shadow' | 'off'

export interface Guardrails {
  show(accountId: string): Promise<{ mode: GuardrailMode; windows: WindowState[] }>
  /** @throws ApiError where one is above the operator's */
  setLimits(accountId: string, changes: WindowChanges): Promise<void>
  /** The window that spending so much now would pass. */
  check(accountId: string, amount: MicroUsd): Promise<{ mode: GuardrailMode; blocked: Blocked | undefined }>
  setShadow(accountId: string, shadow: boolean): Promise<void>
  /** What was spent until the end of this minute counts no more; what is under way still does. */
  reset(accountId: string): Promise<void>
}

const minuteMs = 60_000

export function createGuardrails({ clock, port, enabled, defaults }: GuardrailsOptions): Guardrails {
  const nowMinute = () => Math.floor(clock.wallNow() / minuteMs)

  /** What is under way counts as spent now: it may all be. */
  async function look(accountId: string) {
    const { limits, shadow, spent, outstanding } = await port.state(accountId)
    const minute = nowMinute()
    const mode: GuardrailMode = !enabled ? 'off' : shadow ? 'shadow' : 'enforce'
    const counted = new Map(spent).set(minute, (spent.get(minute) ?? 0) + outstanding)
    return { mode, minute, limits: strictest(defaults, limits), spent: counted }
  }

  return {
    async show(accountId) {
      const { mode, minute, limits, spent } = await look(accountId)
      return { mode, windows: windowStates(spent, limits, minute) }
    },
    async setLimits(accountId, changes) {
      for (const name of windowNames) {
        const [limit, most] = [changes[name], defaults[name]]
        if (limit == null || most === undefined || limit <= most) continue
        throw new ApiError('invalid_body', {
          message: `limits.${name}: must be at most ${formatUsd(most)}, which the operator has set for every account.`,
          param: `limits.${name}`,
        })
      }
      await port.setLimits(accountId, changes)
    },
    async check(accountId, amount) {
      const { mode, minute, limits, spent } = await look(accountId)
      return { mode, blocked: mode === 'off' ? undefined : blockedBy(spent, limits, minute, amount) }
    },
    setShadow: port.setShadow,
    reset: (accountId) => port.reset(accountId, nowMinute() + 1),
  }
}

/** The beginning of that minute since 1970. */
export const minuteOut = (minute: number | undefined) =>
  minute === undefined ? null : new Date(minute * minuteMs).toISOString()

export const blockedOut = ({ window, limit, spent, asked, freesAtMinute }: Blocked) => ({
  window,
  limit: formatUsd(limit),
  spent: formatUsd(spent),
  asked: formatUsd(asked),
  /** Null: it is more than the whole window. */
  frees_at: minuteOut(freesAtMinute),
})

export function guardrailExceeded(blocked: Blocked, options: ApiErrorOptions = {}): ApiError {
  const members = blockedOut(blocked)
  const { window, limit, spent, asked, frees_at: freesAt } = members
  const until = freesAt ? `It fits from ${freesAt} on, if nothing else is spent.` : 'It is more than the whole window.'
  const message = `${asked} USD would pass the guard rail ${window}: ${spent} of ${limit} USD are spent. ${until}`
  return new ApiError('guardrail_exceeded', { message, members, ...options })
}
