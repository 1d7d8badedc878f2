/** An answer whose text leaves piece by piece, each as one write. Node hands the socket four: length, line end, text, line end. */
import { type IncomingMessage, ServerResponse } from 'node:http'

export class ChunkedResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  private begun = false

  override write(piece: unknown, ...more: unknown[]): boolean {
    const isPlain = typeof piece === 'string' && piece !== '' && more.length === 0
    // The first leaves together with the headers, which are written in Latin-1.
    if (!this.begun || !isPlain || !this.chunkedEncoding || this.writableCorked > 0) {
      this.begun = true
      return super.write(piece, ...(more as []))
    }
    // What is framed here is not framed once more.
    this.chunkedEncoding = false
    try {
      return super.write(`${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`)
    } finally {
      this.chunkedEncoding = true
    }
  }
}
