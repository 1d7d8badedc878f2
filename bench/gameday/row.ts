/** One row of the fault matrix: what must hold while something behind the gateway fails, and what was seen. */
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
