/** What goes by of answers that are to be given again: each up to a bound, and all that are under way together. */
import { joined } from '../domain/joined.ts'

export interface RecordingBounds {
  /** Characters or bytes of one. */
  max: number
  /** Of all at the same time. */
  maxTogether: number
}

export interface Recorder {
  begin(): Recording
}

export function createRecorder({ max, maxTogether }: RecordingBounds): Recorder {
  const room: Room = { max, maxTogether, used: 0 }
  return { begin: () => new Recording(room) }
}

interface Room extends RecordingBounds {
  used: number
}

const encoder = new TextEncoder()

export class Recording {
  private pieces: (string | Uint8Array)[] | undefined = []
  private size = 0
  private readonly room: Room

  constructor(room: Room) {
    this.room = room
  }

  add(piece: string | Uint8Array) {
    if (!this.pieces) return
    const { max, maxTogether, used } = this.room
    if (this.size + piece.length > max || used + piece.length > maxTogether) return this.close()
    this.pieces.push(piece)
    this.size += piece.length
    this.room.used += piece.length
  }

  /** False: it was too long, or too much was being recorded, and nothing of it is kept. */
  get isOpen() {
    return this.pieces !== undefined
  }

  /** Undefined: it is not kept, or is no text. */
  text(): string | undefined {
    return this.pieces?.every((piece) => typeof piece === 'string') ? this.pieces.join('') : undefined
  }

  /** Undefined: it is not kept. */
  bytes(): Uint8Array | undefined {
    if (!this.pieces) return undefined
    return joined(this.pieces.map((piece) => (typeof piece === 'string' ? encoder.encode(piece) : piece)))
  }

  /** Forgets it and gives its room back. */
  close() {
    this.room.used -= this.size
    this.size = 0
    this.pieces = undefined
  }
}
