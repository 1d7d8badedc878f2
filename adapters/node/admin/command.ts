/** What a command is made of. */
import type { Config } from '../../../src/config.ts'
import type { Storage } from '../storage.ts'
import type { Arguments, Options } from './arguments.ts'
import type { Report } from './report.ts'

export interface Command {
  /** As they are typed, in front of everything else. */
  words: [string, ...string[]]
  /** What comes behind them. */
  usage: string
  does: string
  options?: Options
  /** Words that are no options. @default 0 */
  places?: number
  run(storage: Storage, args: Arguments, config: Config): Promise<Report>
}

export const limitOptions: Options = {
  'requests-per-minute': { type: 'string' },
  'tokens-per-minute': { type: 'string' },
  'max-concurrent': { type: 'string' },
}
