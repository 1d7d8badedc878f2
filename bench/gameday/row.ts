/** A row of the fault matrix: what is broken, and what must hold while it is. */
export interface Bar {
  name: string
  want: string
  got: string
  met: boolean
}

export interface GamedayRow {
  id: string
  title: string
  run(say: (line: string) => void): Promise<Bar[]>
}
