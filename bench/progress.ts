/** One line that keeps changing on a terminal, plain lines elsewhere. */
export interface Progress {
  /** What is going on. */
  show(text: string): void
  /** Something that stays. */
  print(text: string): void
}

export function createProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  const clear = () => stream.isTTY && stream.write('\r\x1b[K')
  return {
    show(text) {
      clear()
      stream.write(stream.isTTY ? text.slice(0, stream.columns - 1) : `${text}\n`)
    },
    print(text) {
      clear()
      process.stdout.write(`${text}\n`)
    },
  }
}
