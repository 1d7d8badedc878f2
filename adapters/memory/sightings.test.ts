import { sightingsContract } from '../../tests/contracts/sightings.ts'
import { createMemorySightings } from './sightings.ts'

sightingsContract('the sightings in memory', async () => createMemorySightings())
