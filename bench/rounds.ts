import { parseArgs } from 'node:util'

/** `--rounds` and `--seconds`, or those. Ends the process where they are nonsense. */
export function roundsAsked(byDefault: { rounds: number; seconds: number }): { rounds: number; seconds: number } {
  const { values } = parseArgs({ options: { rounds: { type: 'string' }, seconds: { type: 'string' } } })
  const rounds = Number(values.rounds ?? byDefault.rounds)
  const seconds = Number(values.seconds ?? byDefault.seconds)
  if (rounds >= 1 && seconds >= 1) return { rounds, seconds }
  console.error('--rounds and --seconds must be at least 1')
  process.exit(2)
}
