/**
 * The routes' matcher. Most requests ask for one of a few paths without parameters, whose match is always the same: it is
 * remembered, where the library's own router for that refuses tables in which a name stands beside a parameter.
 */
import type { Result, Router } from 'hono/router'
import { TrieRouter } from 'hono/router/trie-router'

export class RememberingRouter<T> implements Router<T> {
  name = 'RememberingRouter'
  readonly #trie = new TrieRouter<T>()
  /** By path and method, of the paths in the table that have no parameter: so it is bounded by the table. */
  readonly #fixed = new Map<string, Map<string, Result<T>>>()

  add(method: string, path: string, handler: T) {
    this.#trie.add(method, path, handler)
    for (const known of this.#fixed.values()) known.clear()
    if (!/[:*]/.test(path) && !this.#fixed.has(path)) this.#fixed.set(path, new Map())
  }

  match(method: string, path: string): Result<T> {
    const known = this.#fixed.get(path)
    if (!known) return this.#trie.match(method, path)
    let result = known.get(method)
    if (!result) {
      result = this.#trie.match(method, path)
      if (known.size < maxMethods) known.set(method, result)
    }
    return result
  }
}

/** A caller may invent methods. */
const maxMethods = 8
