/** What must hold, and what was found. */
export interface Bar {
  name: string
  want: string
  got: string
  met: boolean
  /** It depends on how fast the machine is: no test holds anything against it. */
  timed?: boolean
}

export interface StormRow {
  storm: string
  bars: Bar[]
}

export const atMost = (name: string, limit: number, got: number, unit = ''): Bar => ({
  name,
  want: `<= ${limit}${unit}`,
  got: `${round(got)}${unit}`,
  met: got <= limit,
})

export const atLeast = (name: string, limit: number, got: number, unit = ''): Bar => ({
  name,
  want: `>= ${limit}${unit}`,
  got: `${round(got)}${unit}`,
  met: got >= limit,
})

/** A bar of time. */
export const atMostMs = (name: string, limit: number, got: number): Bar => ({
  ...atMost(name, limit, got, ' ms'),
  timed: true,
})

/** Told beside the bars. */
export const told = (name: string, got: string): Bar => ({ name, want: '', got, met: true })

const round = (value: number) => (Number.isInteger(value) ? String(value) : value.toPrecision(4))
