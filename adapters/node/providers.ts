/** Which providers there are: those with a key or a base URL, and outside production the sandbox for the others. */
import type { Config } from '../../src/config.ts'
import type { ProviderName, ProviderSettings } from '../../src/gateway.ts'
import type { Clock } from '../../src/ports.ts'

const vendorUrls: Record<ProviderName, string> = {
  openai: 'https://api.openai.com/v1',
  iointelligence: 'https://api.intelligence.io.solutions/api/v1',
  vastai: 'https://console.vast.ai',
  ionet: 'https://api.io.solutions',
}
const sandboxed = ['openai', 'vastai', 'ionet'] as const

export interface FoundProviders {
  providers: Partial<Record<ProviderName, ProviderSettings>>
  /** Those that the sandbox plays. */
  sandbox: ProviderName[]
  closeSandbox(): Promise<void>
}

export async function findProviders(
  config: Config,
  options: { clock: Clock; random: () => number },
): Promise<FoundProviders> {
  const providers: FoundProviders['providers'] = {}
  for (const name of Object.keys(vendorUrls) as ProviderName[]) {
    const variable = name.toUpperCase() as Uppercase<ProviderName>
    const apiKey = config[`${variable}_API_KEY`]
    const baseUrl = config[`${variable}_BASE_URL`]
    if (apiKey || baseUrl) providers[name] = { baseUrl: baseUrl ?? vendorUrls[name], apiKey }
  }
  const missing = sandboxed.filter((name) => !providers[name])
  if (config.NODE_ENV === 'production' || missing.length === 0)
    return { providers, sandbox: [], closeSandbox: async () => {} }

  // Loaded only here, so that a production process never even reads the code.
  const { startSandbox } = await import('../sandbox/sandbox.ts')
  const sandbox = await startSandbox({ ...options, servers: missing })
  for (const name of missing) providers[name] = { baseUrl: sandbox[name]!.baseUrl, apiKey: undefined }
  return { providers, sandbox: missing, closeSandbox: () => sandbox.close() }
}
