import { systemClock as clock } from '../../src/resilience/clock.ts'
import { deploymentsContract } from '../../tests/contracts/deployments.ts'
import { createMemoryDeployments } from './deployments.ts'

deploymentsContract('the deployments in memory', async () => createMemoryDeployments({ clock }))
