/** A bug on purpose, for `node --import`: what the journal is told to write is written later than it says. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/** Longer than any of them lives under load. */
const lateMs = 1_000
const write = fs.writevSync
fs.writevSync = (file, buffers) => {
  setTimeout(() => write(file, buffers), lateMs)
  return buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)
}
syncBuiltinESMExports()
