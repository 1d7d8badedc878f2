/** A bug on purpose, for `node --import`: the journal never remembers what is in the books, so all of it comes again. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const write = fs.writevSync
fs.writevSync = (file, [head, body, ...more]) => {
  const isMark = Buffer.from(body!.buffer, body!.byteOffset, body!.byteLength).toString().startsWith('S ')
  return isMark ? head!.byteLength + body!.byteLength : write(file, [head!, body!, ...more])
}
syncBuiltinESMExports()
