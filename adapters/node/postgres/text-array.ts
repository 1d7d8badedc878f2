/**
 * Flat arrays of text, as PostgreSQL writes and reads them. The driver would ask each new connection for the types of
 * arrays; where that connection is lost meanwhile, nobody hears of it, and an error that nobody hears ends the process.
 */
export const textArrays = {
  to: 1009,
  // text[], varchar[], uuid[]
  from: [1009, 1015, 2951],
  serialize: (items: readonly unknown[]) => `{${items.map(quoted).join(',')}}`,
  parse: (text: string) =>
    [...text.matchAll(element)].map(([, quoted, plain]) =>
      quoted !== undefined ? quoted.replace(/\\([\s\S])/g, '$1') : plain === 'NULL' ? null : plain,
    ),
}

const element = /"((?:[^"\\]|\\[\s\S])*)"|([^,{}]+)/g
const quoted = (item: unknown) => (item == null ? 'NULL' : `"${String(item).replace(/["\\]/g, '\\$&')}"`)
