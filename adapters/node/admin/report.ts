/** What a command has to say, as a table that one can read or as JSON for machines. */
type Cell = string | number | boolean | null | readonly string[]
export type Row = Record<string, Cell>

export interface Report {
  /** Under this name in JSON; one thing alone has none. */
  name?: string
  rows: Row[]
  /** Said below a table. */
  note?: string | undefined
  /** Something is wrong: exit code 1. */
  failed?: boolean
}

/** What whoever called it can put right: told in one line, without a stack. */
export class CommandError extends Error {
  override name = 'CommandError'
  /** 2: it was called wrongly. 1: it could not be done. */
  readonly exitCode: 1 | 2
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

export function reportText({ name, rows, note }: Report, json: boolean): string {
  if (json) return `${JSON.stringify(name === undefined ? (rows[0] ?? {}) : { [name]: rows }, null, 2)}\n`
  const below = note === undefined ? '' : `\n${note}\n`
  if (name !== undefined) return `${rows.length === 0 ? `no ${name}\n` : columns(rows)}${below}`
  return columns(Object.entries(rows[0] ?? {}).map(([field, value]) => ({ field, value }))) + below
}

const shown = (cell: Cell | undefined) =>
  cell == null ? '-' : typeof cell === 'object' ? cell.join(',') || '-' : String(cell)

function columns(rows: readonly Row[]): string {
  const heads = Object.keys(rows[0] ?? {})
  const lines = [heads, ...rows.map((row) => heads.map((head) => shown(row[head])))]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}
