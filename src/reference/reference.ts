/** The reference as it is served: each text made at the first request for it, and kept with its ETag. */
import type { ReferenceFile, ReferenceFileName } from '../routes/reference.ts'
import { openApiDocument } from './openapi.ts'
import { referencePage } from './page.ts'
import { icon, style } from './style.ts'

const encoder = new TextEncoder()

export function createReference(version: string) {
  const texts: Record<ReferenceFileName, [contentType: string, text: () => string]> = {
    'openapi.json': ['application/json', () => JSON.stringify(openApiDocument(version))],
    docs: ['text/html; charset=utf-8', () => referencePage(openApiDocument(version))],
    'style.css': ['text/css; charset=utf-8', () => style],
    'icon.svg': ['image/svg+xml', () => icon],
  }
  const made = new Map<ReferenceFileName, Promise<ReferenceFile>>()

  async function make(name: ReferenceFileName): Promise<ReferenceFile> {
    const [contentType, text] = texts[name]
    const bytes = encoder.encode(text())
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    return { contentType, bytes, etag: `"${[...digest.subarray(0, 12)].map(hex).join('')}"` }
  }

  return function file(name: ReferenceFileName): Promise<ReferenceFile> {
    const known = made.get(name) ?? make(name)
    made.set(name, known)
    return known
  }
}

const hex = (byte: number) => byte.toString(16).padStart(2, '0')
