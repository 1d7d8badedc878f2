/** A process of its own that appends to a journal until it is killed, and tells how far it certainly came. */
import { openJournal } from '../../adapters/node/journal.ts'
import { systemClock } from '../../src/resilience/clock.ts'

const folder = process.argv[2] ?? ''
const journal = await openJournal({
  folder,
  maxBytes: 1024 * 1024 * 1024,
  segmentBytes: 64 * 1024,
  clock: systemClock,
  log: { warn() {}, error() {} },
})
let next = 0
for (;;) {
  for (let i = 0; i < 50; i++) journal.append(JSON.stringify({ n: next++ }))
  await journal.flush()
  process.stdout.write(`${next}\n`)
}
