/**
 * Relays an answer that is bytes, as speech is, while it comes. Bytes have no room for an error event: where the
 * provider breaks off, the caller's connection is cut, so that a short answer cannot be taken for a whole one.
 */
import { ApiError } from '../errors.ts'
import type { Hold } from '../upstream/guarded-call.ts'

export interface BytesAnswer {
  /** The first bytes, already here. */
  begun: Uint8Array
  rest: AsyncIterator<Uint8Array, unknown, undefined>
}

export interface BytesRelayOptions {
  hold: Hold
  /** Aborted when the caller leaves. */
  signal: AbortSignal
  /** It was broken off, and not for the caller's own time. */
  onInterrupted(): void
  /** All is out but the end of the answer. */
  onLast?(): Promise<void> | undefined
  onEnd(): void
}

export async function* relayBytes(
  { begun, rest }: BytesAnswer,
  options: BytesRelayOptions,
): AsyncGenerator<Uint8Array> {
  const { hold, signal, onInterrupted, onEnd } = options
  try {
    yield begun
    for (;;) {
      const next = await rest.next()
      if (next.done) {
        await options.onLast?.()
        return
      }
      yield next.value
    }
  } catch (cause) {
    if (signal.aborted) return
    const isOurs = cause instanceof ApiError
    if (!isOurs) hold.failed()
    // A caller whose own time is over has had what he was given.
    if (!isOurs || cause.code !== 'deadline_exceeded') onInterrupted()
    throw cause
  } finally {
    // Reached in every way out, the caller's leaving included: the provider's call ends here.
    hold.release()
    onEnd()
    void rest.return?.().catch(() => {}) // Nobody reads on; how the call ends no longer matters.
  }
}
