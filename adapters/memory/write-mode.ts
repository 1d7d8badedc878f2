/** A switch for one pod, without a database that could be lost. */
import type { Clock, WriteMode, WriteModeStatus } from '../../src/ports.ts'

export function createMemoryWriteMode({ clock }: { clock: Clock }): WriteMode {
  let since: Date | undefined
  const mode = {
    readOnly: false,
    status: (): WriteModeStatus => ({
      readOnly: mode.readOnly,
      reason: mode.readOnly ? 'operator' : undefined,
      since,
      stored: true,
    }),
    async set(readOnly: boolean) {
      if (readOnly !== mode.readOnly) since = readOnly ? new Date(clock.wallNow()) : undefined
      mode.readOnly = readOnly
      return mode.status()
    },
  }
  return mode
}
