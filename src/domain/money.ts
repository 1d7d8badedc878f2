/** Money is integer micro-dollars inside the program, and decimal strings or dollars at its edges. */
export type MicroUsd = number

export const microUsd = (usd: number): MicroUsd => Math.round(usd * 1e6)
export const usd = (micro: MicroUsd): number => micro / 1e6

/** `1_500_000` as `"1.50"`: as many places as it needs, and at least two. */
export function formatUsd(micro: MicroUsd): string {
  const [whole, places] = (Math.abs(micro) / 1e6).toFixed(6).split('.') as [string, string]
  return `${micro < 0 ? '-' : ''}${whole}.${places.replace(/0{1,4}$/, '')}`
}

/** The reverse of `formatUsd`. Undefined: no amount, more than six places, or more than can be counted exactly. */
export function parseUsd(text: string): MicroUsd | undefined {
  const [, whole, places = ''] = /^(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text) ?? []
  return whole === undefined ? undefined : Number(whole) * 1e6 + Number(places.padEnd(6, '0'))
}
