/** `npm run guide`: every command of the guide, in its order, and what became of it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { render } from '../tests/support/manifests.ts'
import { type Checked, checkKubectl } from './guide/cluster.ts'
import { guideCommands } from './guide/lines.ts'
import { startLive } from './guide/live.ts'

const root = join(import.meta.dirname, '..')
const commands = guideCommands(readFileSync(join(root, 'docs/guide-original.md'), 'utf8'))
const objects = await render('.')
const live = await startLive()
const rows: (Checked & { command: string })[] = []
try {
  let section = ''
  for (const { section: of, language, command } of commands) {
    if (of !== section) console.log(`\n${of}`)
    section = of
    const check = () => {
      if (language === 'promql') return live.promql(command)
      return command.startsWith('kubectl ') ? checkKubectl(command, objects) : live.shell(command)
    }
    // What throws did not hold; the others are looked at nevertheless.
    const row = await check().catch((error: Error) => ({ how: 'run' as const, ok: false, saw: error.message }))
    rows.push({ ...row, command })
    console.log(`  ${row.ok ? 'ok  ' : 'FAIL'} ${row.how.padEnd(21)} ${command}\n       ${row.saw}`)
  }
} finally {
  await live.close()
}
const counted = (how: Checked['how']) => rows.filter((row) => row.how === how).length
const failed = rows.filter(({ ok }) => !ok).length
console.log(`
${rows.length} commands: ${counted('run')} run, ${counted('run without a cluster')} run without a cluster (--dry-run=client, --local),
${counted('read and looked up')} read by kubectl up to the connection, their names and labels found in the manifests; ${failed} failed.
No cluster was there: that one answers as these expect was not seen.`)
process.exit(failed > 0 ? 1 : 0)
