/** For bugs on purpose: who writes the journal's groups instead. Other writes go their way. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/** `write` gets a copy of the group, which begins with its head, and the write that it stands for. */
export function writeGroupsBy(write: (group: Buffer, really: () => void) => void): void {
  const original = fs.writeSync
  const isGroup = (bytes: unknown) => Buffer.isBuffer(bytes) && bytes.toString('latin1', 0, 2) === 'G '
  fs.writeSync = ((file: number, bytes: Buffer, ...more: []) => {
    if (!isGroup(bytes)) return original(file, bytes, ...more)
    const group = Buffer.from(bytes)
    write(group, () => original(file, group))
    return group.length
  }) as typeof fs.writeSync
  syncBuiltinESMExports()
}
