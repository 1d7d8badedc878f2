/**
 * How fast a model is served: estimates, for a comparison before anybody has rented anything. Output tokens a second of
 * one GPU, with vLLM in 16 bits and as many requests under way as it can work on; what a machine really does depends on
 * its host, on the lengths of prompts and answers, and on how even the traffic is.
 */
import { hasGpuWords } from './gpu-names.ts'

/** Billions of parameters, up to which a column is for. */
const sizes = [2, 9, 15, 35, 75] as const
type Rates = readonly [number, number, number, number, number]

/** The first whose words a name has. */
const classes: readonly [gpu: string, rates: Rates][] = [
  ['B200', [30_000, 12_000, 7_000, 3_300, 1_600]],
  ['H200', [20_000, 8_000, 4_800, 2_200, 1_050]],
  ['H100', [18_000, 7_000, 4_200, 1_900, 900]],
  ['RTX PRO 6000', [12_000, 4_200, 2_400, 1_100, 500]],
  ['A100', [10_000, 3_500, 2_000, 900, 420]],
  ['RTX 5090', [9_000, 3_000, 1_700, 800, 360]],
  ['RTX 4090', [7_000, 2_300, 1_300, 600, 280]],
  ['L40S', [7_000, 2_300, 1_300, 600, 280]],
  ['RTX 6000 Ada', [6_500, 2_100, 1_200, 550, 250]],
  ['RTX 3090', [4_000, 1_300, 700, 330, 150]],
  ['RTX A6000', [4_000, 1_300, 750, 340, 160]],
  ['A40', [3_800, 1_200, 700, 320, 150]],
  ['Tesla V100', [3_000, 900, 500, 230, 100]],
]
/** Of a card that is not in the table: no more than is sure. */
const otherwise: Rates = [2_000, 600, 330, 150, 70]
/** Where the name of a model tells nothing of its size. */
export const usualBillions = 8
/** What several GPUs that work on one model lose to one another. */
const togetherShare = 0.85

export interface ServingRate {
  outputTokensPerSecond: number
  /** The card is in the table. */
  isKnown: boolean
}

export function servingRate(machine: { gpuModel: string; gpuCount: number }, billions = usualBillions): ServingRate {
  const known = classes.find(([gpu]) => hasGpuWords(machine.gpuModel, gpu))?.[1]
  const rates = known ?? otherwise
  const column = sizes.findIndex((size) => billions <= size)
  // Beyond the table it takes as much longer as there is more to read.
  const one = column < 0 ? (rates.at(-1)! * sizes.at(-1)!) / billions : rates[column]!
  const { gpuCount } = machine
  return { outputTokensPerSecond: one * (gpuCount === 1 ? 1 : gpuCount * togetherShare), isKnown: known !== undefined }
}
