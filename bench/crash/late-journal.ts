/** A bug on purpose, for `node --import`: what the journal is told to write is written a moment later than it says. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const lateMs = 100
const write = fs.writevSync
fs.writevSync = (file, buffers) => {
  setTimeout(() => write(file, buffers), lateMs)
  return buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)
}
syncBuiltinESMExports()
