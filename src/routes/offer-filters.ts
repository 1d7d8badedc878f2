/** What offers are looked for by: one schema, for queries, where every value is a text, and for bodies. */
import * as z from 'zod'
import { microUsd } from '../domain/money.ts'
import { marketNames, type OfferFilter } from '../domain/offer.ts'
import { numeral } from './parse.ts'
import { printable } from './sign-in.ts'

export const truth = z.enum(['true', 'false']).transform((text) => text === 'true')

/** Up to a thousand: a number, as prices of offers are, or a decimal text, as all other money is. */
export const dollars = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^\d{1,4}(\.\d{1,6})?$/, 'must be dollars, as 0.5 or "0.50"')
      .transform(Number),
  ])
  .pipe(z.number().positive().max(1_000))
  .transform(microUsd)

function fieldsOf(number: (range: z.ZodNumber) => z.ZodType<number>, boolean: z.ZodType<boolean>) {
  const upTo = (most: number) => number(z.number().min(0).max(most)).optional()
  const above0 = (most: number) => number(z.number().positive().max(most)).optional()
  return {
    provider: z
      .string()
      .transform((name) => name.toLowerCase().replace('.', ''))
      .pipe(z.enum(marketNames))
      .optional(),
    gpu_model: printable(z.string().min(1).max(100)).optional(),
    gpu_count: number(z.int().min(1).max(1_000)).optional(),
    min_gpu_frac: upTo(1),
    min_vram: above0(10_000),
    max_price: number(z.number().min(0).max(1e9)).transform(microUsd).optional(),
    location: printable(z.string().min(1).max(100)).optional(),
    min_reliability: upTo(1),
    min_cuda: upTo(100),
    min_inet_down: upTo(1e6),
    min_inet_up: upTo(1e6),
    verified: boolean.optional(),
    disk_gb: number(z.number().min(8).max(10_000)).optional(),
    egress_gb_per_hour: upTo(1e5),
    interruptible: boolean.optional(),
  }
}

/** Of a body. */
export const filterFields = fieldsOf((range) => range, z.boolean())
export const queryFields = fieldsOf((range) => numeral.pipe(range), truth)

const shape = z.strictObject(filterFields)
export const filterOf = (asked: z.output<typeof shape>): OfferFilter => ({
  market: asked.provider,
  gpuModel: asked.gpu_model,
  gpuCount: asked.gpu_count,
  minGpuFraction: asked.min_gpu_frac,
  minVramGb: asked.min_vram,
  maxPriceMicroUsd: asked.max_price,
  location: asked.location,
  minReliability: asked.min_reliability,
  minCuda: asked.min_cuda,
  minInetDown: asked.min_inet_down,
  minInetUp: asked.min_inet_up,
  verified: asked.verified,
  diskGb: asked.disk_gb,
  egressGbPerHour: asked.egress_gb_per_hour,
  interruptible: asked.interruptible,
})
export const filters = shape.transform(filterOf)
