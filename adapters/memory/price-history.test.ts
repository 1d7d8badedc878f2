import { priceHistoryContract } from '../../tests/contracts/price-history.ts'
import { createMemoryPriceHistory } from './price-history.ts'

priceHistoryContract(async () => createMemoryPriceHistory())
