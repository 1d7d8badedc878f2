/** One row of the fault matrix: what is done to the gateway, and what it must come up to meanwhile. */
export interface Bar {
  name: string
  want: string
  got: string
  met: boolean
}

export interface GamedayRow {
  id: string
  title: string
  /** Starts and ends all that it needs. `say` tells whoever waits what is going on. */
  run(say: (line: string) => void): Promise<Bar[]>
}
