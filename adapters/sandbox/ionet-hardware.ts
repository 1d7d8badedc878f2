/** The market of the fake io.net: container hardware by place. Plausible rows; no public list of them exists. */

interface Location {
  id: number
  name: string
  iso2: string
  available: boolean
}

/** One GPU model. Its id is what a deployment names; `price` is dollars per GPU and hour. */
interface Model {
  id: number
  name: string
  brand: string
  vramGb: number
  interconnect: 'PCIe' | 'SXM4' | 'SXM5'
  price: number
  maxGpus: number
}

interface Stock {
  model: Model
  location: Location
  cards: number
  replicas: number
}

export const locations: Location[] = [
  { id: 1, name: 'United States', iso2: 'US', available: true },
  { id: 4, name: 'Germany', iso2: 'DE', available: true },
  { id: 6, name: 'Finland', iso2: 'FI', available: true },
  { id: 9, name: 'United Kingdom', iso2: 'GB', available: true },
  { id: 12, name: 'Canada', iso2: 'CA', available: true },
  { id: 17, name: 'India', iso2: 'IN', available: true },
  { id: 23, name: 'Singapore', iso2: 'SG', available: true },
  { id: 31, name: 'Norway', iso2: 'NO', available: false },
]

const model = (
  id: number,
  name: string,
  vramGb: number,
  interconnect: Model['interconnect'],
  price: number,
  maxGpus: number,
): Model => ({ id, name, brand: 'NVIDIA', vramGb, interconnect, price, maxGpus })

export const models: Model[] = [
  model(203, 'H200', 141, 'SXM5', 2.49, 8),
  model(202, 'H100 80GB HBM3', 80, 'SXM5', 2.19, 8),
  model(201, 'H100 PCIe', 80, 'PCIe', 1.79, 8),
  model(190, 'A100-SXM4-80GB', 80, 'SXM4', 1.12, 8),
  model(189, 'A100 80GB PCIe', 80, 'PCIe', 0.98, 4),
  model(176, 'L40S', 48, 'PCIe', 0.75, 8),
  model(165, 'RTX A6000', 48, 'PCIe', 0.44, 8),
  model(171, 'GeForce RTX 5090', 32, 'PCIe', 0.58, 8),
  model(158, 'GeForce RTX 4090', 24, 'PCIe', 0.32, 8),
  model(149, 'GeForce RTX 3090', 24, 'PCIe', 0.19, 4),
]

/** [model id, location id, cards, replicas]. Of the rows without a replica only the first is marked as sold out. */
const stock: Stock[] = (
  [
    [203, 1, 8, 3],
    [203, 6, 8, 1],
    [202, 1, 8, 6],
    [202, 1, 1, 4],
    [202, 4, 8, 0],
    [201, 17, 1, 5],
    [201, 12, 4, 2],
    [190, 1, 8, 4],
    [190, 9, 4, 2],
    [189, 4, 1, 7],
    [176, 6, 1, 9],
    [176, 23, 4, 2],
    [165, 12, 2, 3],
    [165, 9, 8, 0],
    [171, 1, 1, 8],
    [171, 23, 8, 1],
    [158, 17, 1, 14],
    [158, 12, 8, 2],
    [149, 6, 4, 3],
  ] as const
).map(([modelId, locationId, cards, replicas]) => ({
  model: models.find(({ id }) => id === modelId) as Model,
  location: locations.find(({ id }) => id === locationId) as Location,
  cards,
  replicas,
}))

export type IonetStock = ReturnType<typeof createStock>

/** What is left of it. Times in ms by the market's clock. */
export function createStock(now: () => number) {
  const rows = stock.map((row, index) => ({ ...row, id: index + 1_001, used: 0, racedUntil: 0 }))
  type Row = (typeof rows)[number]
  const left = (row: Row) => (row.racedUntil > now() ? 0 : Math.max(0, row.replicas - row.used))

  return {
    /** The catalogue that needs no key. Virtual machines have neither a brand nor a count of replicas. */
    catalogue: (kind: 'caas' | 'vmaas'): object[] =>
      rows.map((row) => ({
        id: row.id,
        deploy_id: row.model.id,
        name: row.model.name,
        num_cards: row.cards,
        vram_per_card: row.model.vramGb,
        interconnect: row.model.interconnect,
        nvlink: row.model.interconnect !== 'PCIe',
        vcpu: 16 * row.cards,
        memory: 128 * row.cards,
        storage: 500 * row.cards,
        location: row.location.name,
        sold_out: row.id === soldOutId,
        price: Number((row.model.price * row.cards).toFixed(4)),
        ...(kind === 'caas' && { brand_name: row.model.brand, available_replicas: left(row) }),
      })),
    /** Replicas of `gpus` GPUs each that a model still has, in every location that holds it at all. */
    byLocation(modelId: number, gpus: number): object[] {
      const held = rows.filter(({ model }) => model.id === modelId)
      return [...new Set(held.map(({ location }) => location))].map((location) => {
        const fitting = held.filter((row) => row.location === location && row.cards >= gpus)
        const available_replicas = fitting.reduce((sum, row) => sum + left(row), 0)
        return { id: location.id, iso2: location.iso2, name: location.name, available_replicas }
      })
    },
    isAvailable: (modelId: number) => rows.some((row) => row.model.id === modelId && left(row) > 0),
    /** The row that has so many left in one of the places, the one that fits best; undefined = none has. */
    choose(modelId: number, locationIds: readonly number[], gpus: number, replicas: number): Row | undefined {
      return rows
        .filter(({ model, location }) => model.id === modelId && locationIds.includes(location.id))
        .filter((row) => row.cards >= gpus && left(row) >= replicas)
        .sort((a, b) => a.cards - b.cards)[0]
    },
    /** Somebody else takes what is left of a row, for so long. */
    takeAway(rowId: number, forMs: number): void {
      const row = rows.find(({ id }) => id === rowId)
      if (row) row.racedUntil = now() + forMs
    },
  }
}

export type StockRow = NonNullable<ReturnType<IonetStock['choose']>>

const soldOutId = 1_001 + stock.findIndex(({ replicas }) => replicas === 0)
