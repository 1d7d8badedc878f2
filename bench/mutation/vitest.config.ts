/** The tests that a mutant may fail: those beside the code of the two rooms. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'src/resilience/*.test.ts',
      'src/services/{relay-stream,rescue,splice,transcript,continuation,waits}.test.ts',
    ],
    setupFiles: ['bench/mutation/setup.ts'],
    testTimeout: 20_000,
  },
})
