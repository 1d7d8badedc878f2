/** Money is integer micro-dollars inside the program and dollars at its edges. */
export type MicroUsd = number

export const microUsd = (usd: number): MicroUsd => Math.round(usd * 1e6)
export const usd = (micro: MicroUsd): number => micro / 1e6
