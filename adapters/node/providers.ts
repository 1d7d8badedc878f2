/** Which providers there are: those with a key or a base URL, and outside production the sandbox for the others. */
import type { Config } from '../../src/config.ts'
import type { ProviderName, ProviderSettings } from '../../src/gateway.ts'
import type { Clock } from '../../src/ports.ts'
import { ConfigError } from '../../src/variables.ts'

const vendorUrls: Record<Exclude<ProviderName, 'billing'>, string> = {
  openai: 'https://api.openai.com/v1',
  iointelligence: 'https://api.intelligence.io.solutions/api/v1',
  vastai: 'https://console.vast.ai',
  ionet: 'https://api.io.solutions',
  stripe: 'https://api.stripe.com',
}
const sandboxed = ['openai', 'vastai', 'ionet', 'billing', 'stripe'] as const
type SandboxedName = (typeof sandboxed)[number]
const liveStripeKey = /^[sr]k_live_/

export interface FoundProviders {
  providers: Partial<Record<ProviderName, ProviderSettings>>
  /** Those that the sandbox plays. */
  sandbox: ProviderName[]
  /** The gateway listens there: the sandbox's webhooks can be sent. */
  onListening(url: string): void
  closeSandbox(): Promise<void>
}

/**
 * Without starting anything. `sandbox`: those that it is to play.
 * @throws ConfigError where real money would meet it.
 */
export function givenProviders(config: Config): Pick<FoundProviders, 'providers'> & { sandbox: SandboxedName[] } {
  const providers: FoundProviders['providers'] = {}
  for (const name of Object.keys(vendorUrls) as (keyof typeof vendorUrls)[]) {
    const variable = name.toUpperCase() as Uppercase<typeof name>
    const apiKey = variable === 'STRIPE' ? config.STRIPE_SECRET_KEY : config[`${variable}_API_KEY`]
    const baseUrl = config[`${variable}_BASE_URL`]
    if (apiKey || baseUrl) providers[name] = { baseUrl: baseUrl ?? vendorUrls[name], apiKey }
  }
  const { BILLING_API_KEY: apiKey, BILLING_BASE_URL: baseUrl } = config
  if (baseUrl) providers.billing = { baseUrl, apiKey }
  if (providers.stripe) providers.stripe.webhookSecret = config.STRIPE_WEBHOOK_SECRET
  const sandbox = config.NODE_ENV === 'production' ? [] : sandboxed.filter((name) => !providers[name])
  if (sandbox.length > 0 && liveStripeKey.test(config.STRIPE_SECRET_KEY ?? '')) {
    throw new ConfigError(
      `STRIPE_SECRET_KEY is a live key, and the sandbox would play ${sandbox.join(', ')}: real money would buy nothing. Set their keys, or a test key`,
    )
  }
  return { providers, sandbox }
}

export async function findProviders(
  config: Config,
  options: { clock: Clock; random: () => number },
): Promise<FoundProviders> {
  const { providers, sandbox: missing } = givenProviders(config)
  if (missing.length === 0) return { providers, sandbox: [], onListening() {}, closeSandbox: async () => {} }

  // Loaded only here, so that a production process never even reads the code.
  const { startSandbox } = await import('../sandbox/sandbox.ts')
  const webhookSecret = config.STRIPE_WEBHOOK_SECRET
  const sandbox = await startSandbox({ ...options, servers: missing, webhookSecret })
  for (const name of missing) providers[name] = { baseUrl: sandbox[name]!.baseUrl, apiKey: undefined }
  if (sandbox.stripe && providers.stripe) providers.stripe.webhookSecret = sandbox.stripe.webhooks.secret
  const webhooks = sandbox.stripe?.webhooks
  return {
    providers,
    sandbox: missing,
    onListening: (url) => webhooks?.sendTo(`${url}/api/v1/webhooks/stripe`),
    closeSandbox: () => sandbox.close(),
  }
}
