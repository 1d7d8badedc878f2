/**
 * Where a fleet's board is kept: a column of text a pod, operators' words, and claims, by the store's own clock. It may
 * be slow, lose what it held, or not answer; then its promises reject, in bounded time.
 */
import type { Word } from './fleet-board.ts'

export interface StoredWord {
  name: string
  word: Word | 'auto'
  /** By the store's clock; the latest holds. 0 = now. */
  at: number
}

export interface Beat {
  pod: string
  /** The version of the board that this pod knows; 0 = none. */
  seen: number
  /** The pod's column, where it has changed; '' = it is empty. */
  said: string | undefined
  /** To be taken where they are later than what is there. */
  words: readonly StoredWord[]
}

export interface BoardPage {
  pods: readonly string[]
  said: readonly { pod: string; text: string; agoMs: number }[]
  words: readonly StoredWord[]
}

export interface News {
  /** Live ones, the asking one included. */
  pods: number
  /** Higher after each change. */
  version: number
  /** Whether the pod's column is there. */
  hasColumn: boolean
  /** The whole board, where it is not at the version that was seen. */
  page: BoardPage | undefined
}

/** A change at the moment that it happens. It may be lost; the next beat tells of it again. */
export type Push = { version: number } & ({ pod: string; text: string } | { words: readonly StoredWord[] })

export interface FleetStore {
  /** Also says that the pod lives: one that is silent for `silentMs` is forgotten. */
  sync(beat: Beat): Promise<News>
  /** A store that has just lost its memory grants nothing for `ms`: what it granted before may still be in use. */
  claim(what: string, pod: string, ms: number): Promise<boolean>
  leave(pod: string): Promise<void>
  /** `onGap`: pushes may have been missed. */
  subscribe(listener: { onPush(push: Push): void; onGap(): void }): void
}

/** A pod that has not been heard of for so long is gone. */
export const silentMs = 5_000
