/**
 * The credential of a browser that has signed in at the console. It counts only with a header that no form and no other
 * site's script can send, so that nobody's page can act in a visitor's name (OWASP: custom request headers).
 */
import { type AppContext, header } from './request-context.ts'

export const consoleHeader = 'x-gpuproxy-console'
const pattern = /(?:^|;\s*)gpuproxy_session=([^;\s]+)/

export function sessionCookie(c: AppContext): string | undefined {
  if (header(c, consoleHeader) !== '1') return undefined
  const site = header(c, 'sec-fetch-site')
  if (site !== undefined && site !== 'same-origin') return undefined
  const value = pattern.exec(header(c, 'cookie') ?? '')?.[1]
  try {
    return value && decodeURIComponent(value)
  } catch {
    return undefined
  }
}

/** Sent to no other site's requests, and read by no script. Empty: it is to be forgotten. */
export const sessionCookieOf = (credential: string, secure: boolean) =>
  `gpuproxy_session=${encodeURIComponent(credential)}; Path=/; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}${credential === '' ? '; Max-Age=0' : ''}`
