/**
 * `node --import`: a gateway whose requests are not metered. No credit is held, nothing is written to the journal and
 * nothing entered, and no receipt is made: the baseline that the ledger's cost is measured against.
 */
import { registerHooks } from 'node:module'

const stub = new URL('no-meter.ts', import.meta.url).href

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === './meter.ts'
      ? { url: stub, format: 'module-typescript', shortCircuit: true }
      : next(specifier, context),
})
