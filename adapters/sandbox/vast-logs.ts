/** Vast.ai's logs: asked for by one call, and soon after to be had from a file store, without a key. */
import type { Answer } from './send.ts'
import type { VastContract } from './vast-contracts.ts'
import { isRecord, jsonAnswer, type VendorCall } from './vendor.ts'

/** How long the file takes to be there. */
const uploadMs = 300
const maxFiles = 1_000

export function createVastLogs(now: () => number) {
  const files = new Map<string, { text: string; from: number }>()
  let made = 0

  return {
    request({ headers, body }: VendorCall, contract: VastContract, status: string | null): Answer {
      const { tail, filter } = isRecord(body) ? body : {}
      const name = `${contract.id}-${(made++).toString(16).padStart(8, '0')}`
      const lines = linesOf(contract, status).filter((line) => line.includes(String(filter ?? '')))
      files.set(name, { text: lines.slice(-Number(tail ?? 1_000)).join(''), from: now() + uploadMs })
      for (const [oldest] of files) {
        if (files.size <= maxFiles) break
        files.delete(oldest)
      }
      const result_url = `http://${headers.host}/instance_logs/${name}.log`
      return jsonAnswer(200, { success: true, result_url, msg: 'Logs are being uploaded' })
    },
    download(name: string): Answer {
      const file = files.get(name)
      const headers = { 'content-type': 'text/plain; charset=utf-8' }
      if (!file || file.from > now()) return { status: 403, headers, body: 'AccessDenied' }
      return { status: 200, headers, body: file.text }
    },
  }
}

function linesOf({ order, createdAt, loadsAt, runsAt }: VastContract, status: string | null): string[] {
  const at = (ms: number) => new Date(ms).toISOString()
  if (status === null) return []
  const loading = [`${at(createdAt)} created\n`, `${at(loadsAt)} pulling ${order.image}\n`]
  if (status === 'loading') return loading
  return [...loading, ...order.ports.map((port) => `${at(runsAt)} listening on 0.0.0.0:${port}\n`)]
}
