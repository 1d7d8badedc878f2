import { writeModeContract } from '../../tests/contracts/write-mode.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryWriteMode } from './write-mode.ts'

writeModeContract('the switch in memory', async () => ({ mode: createMemoryWriteMode({ clock: new FakeClock() }) }))
