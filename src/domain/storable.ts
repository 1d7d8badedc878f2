/** A name that a caller made up may hold what no database stores as text; it must not keep a bill from being written. */
export const storable = (text: string) =>
  text.isWellFormed() && !text.includes('\0') ? text : text.replaceAll('\0', '�').toWellFormed()
