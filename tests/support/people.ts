/** People who call a gateway over HTTP. */

export interface Answer<T = Record<string, unknown>> {
  status: number
  headers: Headers
  body: T & { code?: string; detail?: string }
}

export interface CallOptions {
  token?: string | undefined
  /** Where the call comes from; the gateway has to trust one proxy. @default a new address each time */
  address?: string
}

export interface SignedIn {
  user: { id: string; email: string; role: string }
  tokens: { access_token: string; refresh_token: string; expires_at: string }
}

export interface MadeKey {
  id: string
  api_key: string
  name: string
  prefix: string
  scopes: string[]
  limits: Record<string, unknown>
  expires_at: string | null
  last_used_at: string | null
}

export const password = 'correct horse battery staple 9'
let made = 0
export const newEmail = () => `person${++made}@example.test`
const newAddress = () => `10.${(++made >> 16) & 255}.${(made >> 8) & 255}.${made & 255}`

export type Call = <T = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
  options?: CallOptions,
) => Promise<Answer<T>>

export const caller =
  (url: string): Call =>
  async (method, path, body, { token, address = newAddress() } = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        'x-forwarded-for': address,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) }
  }

export const signIn = (call: Call, email: string, options?: CallOptions) =>
  call<SignedIn>('POST', '/api/v1/auth/login', { email, password }, options)

/** Registers somebody new and signs them in. */
export async function newPerson(call: Call, email = newEmail()) {
  const registered = await call('POST', '/api/v1/auth/register', { email, password, name: 'Somebody' })
  if (registered.status !== 201) throw new Error(`not registered: ${registered.status}`)
  const { body } = await signIn(call, email)
  return { email, id: body.user.id, token: body.tokens.access_token, refreshToken: body.tokens.refresh_token }
}

export async function newKey(call: Call, token: string, body: object = {}): Promise<MadeKey> {
  const { status, body: key } = await call<MadeKey>(
    'POST',
    '/api/v1/auth/apikeys',
    { name: 'a key', ...body },
    { token },
  )
  if (status !== 201) throw new Error(`no key: ${status}`)
  return key
}
