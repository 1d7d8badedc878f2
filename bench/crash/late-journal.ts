/** A bug on purpose, for `node --import`: what the journal is told to write is written later than it says. */
import { writeGroupsBy } from './groups.ts'

/** Longer than any of them lives under load. */
const lateMs = 1_000
writeGroupsBy((_, really) => setTimeout(really, lateMs))
