import { expect, it } from 'vitest'
import { settled } from '../../tests/support/fake-clock.ts'
import { createSingleFlight } from './single-flight.ts'

it('loads once for all who ask meanwhile, and again for who asks later', async () => {
  const flights = createSingleFlight<number>()
  let loads = 0
  const load = async () => {
    await settled()
    return ++loads
  }
  const together = Array.from({ length: 100 }, () => flights.run('key', load))
  expect(await Promise.all(together)).toEqual(Array(100).fill(1))
  expect(await flights.run('key', load)).toBe(2)
  expect(flights.size).toBe(0)
})

it('keeps keys apart', async () => {
  const flights = createSingleFlight<string>()
  const both = [flights.run('a', async () => 'A'), flights.run('b', async () => 'B')]
  expect(flights.size).toBe(2)
  expect(await Promise.all(both)).toEqual(['A', 'B'])
})

it('fails for all who share a failed load, and forgets it', async () => {
  const flights = createSingleFlight<string>()
  const failing = () => Promise.reject(new Error('down'))
  const both = [flights.run('key', failing), flights.run('key', failing)]
  for (const flight of both) await expect(flight).rejects.toThrow('down')
  expect(flights.size).toBe(0)
  expect(await flights.run('key', async () => 'up')).toBe('up')
})

it('lets a load ask for another key', async () => {
  const flights = createSingleFlight<string>()
  expect(await flights.run('a', () => flights.run('b', async () => 'B'))).toBe('B')
})
