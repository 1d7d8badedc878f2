import { sharedCacheContract } from '../../tests/contracts/shared-cache.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemorySharedCache } from './shared-cache.ts'

sharedCacheContract('the cache in memory', async () => {
  const clock = new FakeClock()
  const cache = createMemorySharedCache({ clock })
  return { cache, other: cache, advance: (ms) => clock.advance(ms) }
})
