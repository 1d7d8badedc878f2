/** Metrics that remember what they were told, to be asked by instrument and labels. */
import type { Metrics } from '../../src/ports.ts'

type Told = Record<string, string>

export class FakeMetrics implements Metrics {
  #counts = new Map<string, number>()
  #observed = new Map<string, number[]>()

  count: Metrics['count'] = (instrument, labels, by = 1) => {
    const key = keyOf(instrument.name, labels)
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by)
  }
  observe: Metrics['observe'] = (instrument, labels, value) => {
    const key = keyOf(instrument.name, labels)
    this.#observed.set(key, [...(this.#observed.get(key) ?? []), value])
  }
  gauge: Metrics['gauge'] = () => {}
  render = async () => ({ contentType: 'text/plain', text: '' })

  /** What a counter stands at; labels left out are summed over. */
  counted({ name }: { name: string }, labels: Told = {}): number {
    let sum = 0
    for (const [key, value] of this.#counts) if (fits(key, name, labels)) sum += value
    return sum
  }
  observed({ name }: { name: string }, labels: Told = {}): number[] {
    return [...this.#observed].flatMap(([key, values]) => (fits(key, name, labels) ? values : []))
  }
}

const keyOf = (name: string, labels: Told) => JSON.stringify([name, labels])

function fits(key: string, name: string, wanted: Told): boolean {
  const [keyName, labels] = JSON.parse(key) as [string, Told]
  return keyName === name && Object.entries(wanted).every(([label, value]) => labels[label] === value)
}
