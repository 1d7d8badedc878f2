/** All routes. One that is added to the app is added to its table, or a test fails. */
import { accountRoutes } from './accounts.ts'
import { administrationRoutes } from './administration.ts'
import { billingRoutes } from './billing.ts'
import { deploymentRoutes } from './deployments.ts'
import { gpuRoutes } from './gpu.ts'
import { inferenceRoutes } from './inference.ts'
import { operationRoutes } from './operation.ts'
import { receiptRoutes } from './receipts.ts'
import type { RouteDoc } from './route.ts'

export const routes: readonly RouteDoc[] = [
  ...inferenceRoutes,
  ...gpuRoutes,
  ...deploymentRoutes,
  ...accountRoutes,
  ...billingRoutes,
  ...receiptRoutes,
  ...administrationRoutes,
  ...operationRoutes,
]
