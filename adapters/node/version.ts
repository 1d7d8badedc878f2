import { readFileSync } from 'node:fs'

declare const BUNDLED_VERSION: string | undefined

/** From package.json; the bundle, which may stand alone, carries it inside. */
export const version: string =
  typeof BUNDLED_VERSION === 'string'
    ? BUNDLED_VERSION
    : JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
