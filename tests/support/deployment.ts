/** A deployment as it is asked for. */
import { randomUUID } from 'node:crypto'
import type { NewDeployment } from '../../src/domain/deployment.ts'
import { type Serving, servingOf } from '../../src/domain/serving.ts'

export function newDeployment(own: Partial<NewDeployment> = {}): NewDeployment {
  const { accountId = randomUUID(), model = 'llama-3.1-8b' } = own
  return {
    id: randomUUID(),
    accountId,
    keyId: randomUUID(),
    purseId: accountId,
    name: 'mine',
    model,
    serving: servingOf(model) as Serving,
    filter: { gpuModel: 'RTX 4090', minVramGb: 24, gpuCount: 1 },
    replicas: 2,
    maxPrice: 800_000,
    maxHours: undefined,
    fallbacks: [],
    secrets: { apiKey: 'secret' },
    ...own,
  }
}
