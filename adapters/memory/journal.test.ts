import { journalContract } from '../../tests/contracts/journal.ts'
import { createMemoryJournal } from './journal.ts'

journalContract('the memory journal', (options) => ({ journal: createMemoryJournal(options) }))
