/** Nobody reads them: a simulation would fill the memory of any that remember. */
import type { Metrics } from '../../src/ports.ts'

export const silentMetrics: Metrics = {
  count() {},
  observe() {},
  gauge() {},
  render: async () => ({ contentType: 'text/plain', text: '' }),
}
