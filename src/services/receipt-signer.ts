/**
 * Signs receipts with Ed25519 (RFC 8032), over their canonical JSON: keys in order, no spaces (RFC 8785). The public key
 * is told as a JWK (RFC 8037) under its thumbprint (RFC 7638), so whoever is shown a receipt can check it.
 */
import { canonical } from '../domain/canonical.ts'
import type { Receipt } from '../domain/receipt.ts'

export interface Signature {
  algorithm: 'Ed25519'
  key_id: string
  /** Base64url. */
  value: string
}

export interface PublicKey {
  kty: 'OKP'
  crv: 'Ed25519'
  x: string
  kid: string
  alg: 'EdDSA'
  use: 'sig'
}

export interface ReceiptSigner {
  sign(receipt: Receipt): Promise<Receipt & { signature: Signature }>
  publicKey(): Promise<PublicKey>
}

const encoder = new TextEncoder()

/** `privateKey`: PKCS #8 in base64. */
export function createReceiptSigner(privateKey: string): ReceiptSigner {
  // Once, at the first use.
  let loading: Promise<{ key: CryptoKey; jwk: PublicKey }> | undefined
  const loaded = () => (loading ??= load(privateKey))

  return {
    async sign(receipt) {
      const { key, jwk } = await loaded()
      const bytes = new Uint8Array(await crypto.subtle.sign('Ed25519', key, encoder.encode(canonical(receipt))))
      return { ...receipt, signature: { algorithm: 'Ed25519', key_id: jwk.kid, value: base64url(bytes) } }
    },
    publicKey: async () => (await loaded()).jwk,
  }
}

async function load(privateKey: string) {
  const bytes = Uint8Array.from(atob(privateKey), (letter) => letter.charCodeAt(0))
  const key = await crypto.subtle.importKey('pkcs8', bytes, 'Ed25519', true, ['sign'])
  const { x } = (await crypto.subtle.exportKey('jwk', key)) as { x: string }
  const named = canonical({ crv: 'Ed25519', kty: 'OKP', x })
  const kid = base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(named))))
  const jwk: PublicKey = { kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' }
  return { key, jwk }
}

const base64url = (bytes: Uint8Array) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
