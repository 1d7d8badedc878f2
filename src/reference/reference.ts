/** The reference as it is served: each text made at the first request for it, and kept with its ETag. */
import type { ReferenceFile, ReferenceFileName } from '../routes/reference.ts'
import { type OpenApiDocument, openApiSteps } from './openapi.ts'
import { referencePageSteps } from './page.ts'
import { icon, style } from './style.ts'

const encoder = new TextEncoder()

/** `pause` lets others have the event loop. */
export function createReference({ version, pause }: { version: string; pause: () => Promise<void> }) {
  let document: Promise<OpenApiDocument> | undefined
  const texts: Record<ReferenceFileName, [contentType: string, text: () => Promise<string> | string]> = {
    'openapi.json': ['application/json', async () => JSON.stringify(await described())],
    docs: ['text/html; charset=utf-8', async () => inSteps(referencePageSteps(await described()))],
    'style.css': ['text/css; charset=utf-8', () => style],
    'icon.svg': ['image/svg+xml', () => icon],
  }
  const made = new Map<ReferenceFileName, Promise<ReferenceFile>>()

  /** Once for both. */
  function described(): Promise<OpenApiDocument> {
    document ??= inSteps(openApiSteps(version))
    return document
  }

  async function inSteps<T>(steps: Generator<void, T>): Promise<T> {
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) return step.value
      await pause()
    }
  }

  async function make(name: ReferenceFileName): Promise<ReferenceFile> {
    const [contentType, text] = texts[name]
    const bytes = encoder.encode(await text())
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
