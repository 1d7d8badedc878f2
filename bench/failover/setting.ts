/** The names of a run's models and providers, and the routing file that goes with them. */
import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import { type Fault, faults, type Variant } from './faults.ts'
import { type Conduct, healthyModel, noPrefillModel } from './faulty-provider.ts'
import type { Profile } from './profile.ts'

/** What a call to be judged is made with. */
export interface Case {
  fault: Fault
  variant: Variant
  /** As the caller asks for it. */
  model: string
  fallbacks: string[]
  /** As the providers know them. */
  primary: string
  spare: string
}

/** A model that nothing is wrong with. */
export const healthyName = 'healthy'
export const outages = ['unavailable', 'refused'] as const
export type Outage = (typeof outages)[number]

export const outageNames = (how: Outage) => ({
  model: `s15-${how}`,
  primary: `s15-${how}-primary`,
  spare: `${healthyModel}-s15-${how}`,
})

export const cases: Case[] = faults.flatMap((fault) =>
  fault.variants.map((variant) => {
    const model = `${fault.id.toLowerCase()}-${variant.name}`
    return {
      fault,
      variant,
      model,
      fallbacks: variant.byRequest ? [`${model}-spare`] : [],
      primary: `${model}-primary`,
      spare: `${variant.noPrefill ? noPrefillModel : healthyModel}-${model}`,
    }
  }),
)

/** Callers that come at once have an upstream of their own, whose retry budget is then theirs too. */
export const crowdOf = ({ model, primary, spare }: Case) => ({
  provider: `crowd-${model}`,
  model: `${model}-crowd`,
  primary: `${primary}-crowd`,
  spare: `${spare}-crowd`,
})

/** What the provider does with the `nth` call for a model. */
export function conductOf(profile: Profile): (model: string, nth: number) => Conduct {
  const byModel = new Map(
    cases.flatMap((each) => [
      [each.primary, each.variant.primary],
      [crowdOf(each).primary, each.variant.primary],
    ]),
  )
  return (model, nth) => byModel.get(model)?.(nth, profile) ?? { kind: 'answer' }
}

/** `url`: of the provider that breaks. `outageUrls`: of those that are away for a while. */
export async function writeRoutingFile(
  path: string,
  { url, outageUrls }: { url: string; outageUrls: Record<Outage, string> },
): Promise<void> {
  const at = (name: string, host = url) => ({ kind: 'openai', base_url: `${host}/${name}/v1` })
  const crowds = cases.filter(({ variant }) => variant.crowd).map(crowdOf)
  const document = {
    providers: {
      faulty: at('faulty'),
      spare: at('spare'),
      ...Object.fromEntries(crowds.map(({ provider }) => [provider, at(provider)])),
      ...Object.fromEntries(outages.map((how) => [`outage-${how}`, at(`outage-${how}`, outageUrls[how])])),
    },
    models: {
      [healthyName]: targets({ provider: 'faulty', model: healthyName }),
      ...Object.assign({}, ...cases.map(modelsOf)),
      ...Object.fromEntries(
        crowds.map(({ provider, model, primary, spare }) => [
          model,
          targets({ provider, model: primary }, { provider: 'spare', model: spare }),
        ]),
      ),
      ...Object.fromEntries(
        outages.map((how) => {
          const { model, primary, spare } = outageNames(how)
          return [model, targets({ provider: `outage-${how}`, model: primary }, { provider: 'spare', model: spare })]
        }),
      ),
    },
  }
  await writeFile(path, stringify(document))
}

const targets = (...all: object[]) => ({ targets: all })

function modelsOf({ model, fallbacks, primary, spare, variant }: Case) {
  const first = { provider: 'faulty', model: primary, ...variant.target }
  const second = { provider: 'spare', model: spare, ...variant.spareTarget }
  const [fallback] = fallbacks
  return fallback ? { [model]: targets(first), [fallback]: targets(second) } : { [model]: targets(first, second) }
}
