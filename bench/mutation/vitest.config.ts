/** The tests that a mutant may fail: those beside the code of the two rooms. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'src/resilience/*.test.ts',
      'src/services/{relay-stream,rescue,splice,transcript,continuation,waits}.test.ts',
      'src/providers/stream-run.test.ts',
    ],
    setupFiles: ['bench/mutation/setup.ts'],
    // On a busy machine a slow test must not look like a mutant that was noticed.
    testTimeout: 60_000,
  },
})
