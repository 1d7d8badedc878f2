/** A rental as it is asked for, for tests. */
import { newId } from '../../adapters/node/identity.ts'
import type { NewRental } from '../../src/domain/rental.ts'

export function newRental(own: Partial<NewRental> & Pick<NewRental, 'accountId' | 'keyId'>): NewRental {
  return {
    id: newId(),
    purseId: own.accountId,
    reservationId: undefined,
    deploymentId: undefined,
    replaces: undefined,
    spec: {
      image: 'vllm/vllm-openai',
      diskGb: 40,
      env: { HF_TOKEN: 'a canary of a secret' },
      ports: [8000],
      args: ['--model', 'a model', '--api-key', 'a canary of a secret'],
      onstart: undefined,
      label: 'mine',
      maxPrice: 2_000_000,
      maxHours: undefined,
      bid: undefined,
      replace: false,
    },
    search: { filter: { gpuModel: 'RTX 4090' }, spread: false },
    offer: {
      id: 'vastai:1',
      market: 'vastai',
      gpuModel: 'RTX 4090',
      gpuCount: 1,
      vramMib: 24_564,
      hostId: '7',
      location: null,
      pricePerHour: 400_000,
      stoppedPerHour: 10_000,
    },
    ...own,
  }
}
