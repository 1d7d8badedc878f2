/** Where a test makes others wait: shut with `hold`, open to begin with. */
export class Gate {
  private waiting = 0
  private shut: PromiseWithResolvers<void> | undefined

  hold() {
    this.shut ??= Promise.withResolvers<void>()
  }

  go() {
    this.shut?.resolve()
    this.shut = undefined
  }

  /** Resolves once it is open. */
  async open() {
    if (!this.shut) return
    this.waiting++
    await this.shut.promise
    this.waiting--
  }

  /** Those that wait in front of it. */
  get size() {
    return this.waiting
  }
}
