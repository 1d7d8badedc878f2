/** Models served on rented machines. One row each; a change names the version that it saw. */
import type { Deployment, NewDeployment } from '../../../src/domain/deployment.ts'
import type { DeploymentChange, DeploymentSeen, Deployments } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { ConnectedCluster } from './connect-cluster.ts'

const maxOfAccount = 50
/** All of them are in the memory of every pod: one that is not read has machines that no request is led to. */
const maxAll = 2_000
/** Begun by different accounts at the moment at which there was room for one. */
const atOnce = 100

export function createDeployments({ cluster }: { cluster: Pick<ConnectedCluster, 'read' | 'write'> }): Deployments {
  return {
    async create(deployment, at, dueAt) {
      const { accountId, id } = deployment
      const find = async () => {
        const rows = await cluster.read('find deployment', { reads: 'primary' }, (sql) => selectOne(sql, accountId, id))
        return rows.map(toDeployment)[0]
      }
      const run = async (sql: Sql) => {
        // Those that are begun at the same moment are counted one after the other.
        await lockAccount(sql, accountId)
        const [own] = await countOwn(sql, accountId)
        if (own!.count >= maxOfAccount) return 'too_many'
        const [all] = await countAll(sql)
        if (all!.count >= maxAll) return 'full'
        const [row] = await insertDeployment(sql, deployment, at, dueAt)
        return row ? toDeployment(row) : 'name_taken'
      }
      return cluster.write<Deployment | 'too_many' | 'full' | 'name_taken'>('create deployment', { accountId }, run, {
        lookup: find,
      })
    },

    async find(accountId, id) {
      const rows = await cluster.read('find deployment', { reads: 'own', accountId }, (sql) =>
        selectOne(sql, accountId, id),
      )
      return rows.map(toDeployment)[0]
    },

    async list(accountId, { limit, before = lastId }) {
      const rows = await cluster.read('list deployments', { reads: 'own', accountId }, (sql) =>
        selectDeployments(sql, accountId, before, limit),
      )
      return rows.map(toDeployment)
    },

    async change(seen, change) {
      // Where COMMIT got no answer nobody knows: the next round looks at it anew.
      const rows = await cluster.write('change deployment', { accountId: seen.accountId }, (sql) =>
        updateSeen(sql, seen, change),
      )
      return rows.map(toDeployment)[0]
    },

    async remove(seen) {
      // Where COMMIT got no answer the next round finds it gone, or removes it.
      const rows = await cluster.write('remove deployment', { accountId: seen.accountId }, async (sql) => {
        // Machines for it may be begun at this moment: then they are seen once this row can be had.
        await lockSeen(sql, seen)
        return deleteSeen(sql, seen)
      })
      return rows.length > 0
    },

    async takeDue(ask) {
      // Of all accounts: nobody reads his own write there.
      const rows = await cluster.write('take due deployments', { accountId: nobody }, (sql) => updateDue(sql, ask))
      return rows.map(toDeployment).sort((a, b) => (a.id < b.id ? -1 : 1))
    },

    async all() {
      // A machine that is being emptied must be seen to be by all pods within seconds.
      const rows = await cluster.read('all deployments', { reads: 'primary' }, (sql) => selectAll(sql))
      return rows.map(toDeployment)
    },

    async noteBusy({ accountId, id }, rentalIds, at) {
      await cluster.write('note busy machines', { accountId }, (sql) => updateBusy(sql, accountId, id, rentalIds, at))
    },
  }
}

const nobody = '00000000-0000-0000-0000-000000000000'
const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

type Asked = Pick<
  Deployment,
  'keyId' | 'purseId' | 'model' | 'serving' | 'filter' | 'maxPrice' | 'maxHours' | 'fallbacks'
>

/** A date in JSON is a text. */
type Standing = Omit<NonNullable<DeploymentChange['standing']>, 'retryAt'> & { retryAt?: string }

interface DeploymentRow {
  account_id: string
  deployment_id: string
  name: string
  replicas: number
  asked: Asked
  secrets: Deployment['secrets']
  version: number
  created_at: Date
  end_asked_at: Date | null
  due_at: Date
  standing: Standing
  busy: Record<string, number>
}

const toDeployment = (row: DeploymentRow): Deployment => ({
  ...row.asked,
  maxHours: row.asked.maxHours,
  ...row.standing,
  reason: row.standing.reason,
  retryAt: row.standing.retryAt === undefined ? undefined : new Date(row.standing.retryAt),
  id: row.deployment_id,
  accountId: row.account_id,
  name: row.name,
  replicas: row.replicas,
  secrets: row.secrets,
  version: row.version,
  createdAt: row.created_at,
  endAskedAt: row.end_asked_at ?? undefined,
  dueAt: row.due_at,
  busy: row.busy,
})

const askedOf = ({ keyId, purseId, model, serving, filter, maxPrice, maxHours, fallbacks }: NewDeployment): Asked => ({
  keyId,
  purseId,
  model,
  serving,
  filter,
  maxPrice,
  maxHours,
  fallbacks,
})

const unbegun = { members: [], spent: 0, failures: 0, gaveUp: false }

const columns = (sql: Sql) => sql`
  account_id, deployment_id, name, replicas, asked, secrets, version, created_at, end_asked_at, due_at,
  standing, busy`

const lockAccount = (sql: Sql, accountId: string) => sql<object[]>`
  select account_id from accounts where account_id = ${accountId} for no key update`

const countOwn = (sql: Sql, accountId: string) => sql<{ count: number }[]>`
  select count(*)::int as count from deployments where account_id = ${accountId}`

const countAll = (sql: Sql) => sql<{ count: number }[]>`select count(*)::int as count from deployments`

const insertDeployment = (sql: Sql, deployment: NewDeployment, at: Date, dueAt: Date) => sql<DeploymentRow[]>`
  insert into deployments (account_id, deployment_id, name, replicas, asked, secrets, created_at, due_at, taken_until,
    standing)
  values (${deployment.accountId}, ${deployment.id}, ${deployment.name}, ${deployment.replicas},
    ${JSON.stringify(askedOf(deployment))}::text::jsonb, ${JSON.stringify(deployment.secrets)}::text::jsonb,
    ${at}, ${dueAt}, now() + ${dueAt.getTime() - at.getTime()} * interval '1 ms',
    ${JSON.stringify(unbegun)}::text::jsonb)
  on conflict (account_id, name) do nothing
  returning ${columns(sql)}`

const selectOne = (sql: Sql, accountId: string, id: string) => sql<DeploymentRow[]>`
  select ${columns(sql)} from deployments where account_id = ${accountId} and deployment_id = ${id}`

const selectDeployments = (sql: Sql, accountId: string, before: string, limit: number) => sql<DeploymentRow[]>`
  select ${columns(sql)} from deployments
  where account_id = ${accountId} and deployment_id < ${before}
  order by deployment_id desc limit ${limit}`

/** Whoever says when it is due is at it no more. */
const updateSeen = (sql: Sql, seen: DeploymentSeen, change: DeploymentChange) => {
  const { standing, noneBusy = false } = change
  return sql<DeploymentRow[]>`
  update deployments
  set version = version + 1,
    replicas = coalesce(${change.replicas ?? null}::integer, replicas),
    end_asked_at = coalesce(${change.endAskedAt ?? null}::timestamptz, end_asked_at),
    due_at = coalesce(${change.dueAt ?? null}::timestamptz, due_at),
    taken_until = case when ${change.dueAt === undefined}::boolean then taken_until end,
    standing = coalesce(${standing ? JSON.stringify(standing) : null}::text::jsonb, standing),
    busy = case when ${noneBusy}::boolean then '{}' else busy end
  where account_id = ${seen.accountId} and deployment_id = ${seen.id} and version = ${seen.version}
  returning ${columns(sql)}`
}

const lockSeen = (sql: Sql, { accountId, id }: DeploymentSeen) => sql`
  select 1 from deployments where account_id = ${accountId} and deployment_id = ${id} for update`

const deleteSeen = (sql: Sql, { accountId, id, version }: DeploymentSeen) => sql<object[]>`
  delete from deployments where account_id = ${accountId} and deployment_id = ${id} and version = ${version}
    and not exists (
      select 1 from rentals where rentals.account_id = ${accountId} and rentals.deployment_id = ${id}
        and state not in ('gone', 'failed')
    )
  returning deployment_id`

/** What another pod is at is passed over: by this clock, since pods may disagree about theirs. */
const updateDue = (sql: Sql, { now, max, forMs }: Parameters<Deployments['takeDue']>[0]) => sql<DeploymentRow[]>`
  update deployments
  set due_at = ${new Date(now.getTime() + forMs)}, taken_until = now() + ${forMs} * interval '1 ms',
    version = version + 1
  where (account_id, deployment_id) in (
    select account_id, deployment_id from deployments
    where due_at <= ${now} and coalesce(taken_until <= now(), true)
    order by due_at limit ${max} for update skip locked
  )
  returning ${columns(sql)}`

const selectAll = (sql: Sql) => sql<DeploymentRow[]>`
  select ${columns(sql)} from deployments order by deployment_id limit ${maxAll + atOnce}`

const updateBusy = (sql: Sql, accountId: string, id: string, rentalIds: readonly string[], at: Date) => {
  const said = Object.fromEntries(rentalIds.map((rentalId) => [rentalId, at.getTime()]))
  return sql`
  update deployments set busy = busy || ${JSON.stringify(said)}::text::jsonb
  where account_id = ${accountId} and deployment_id = ${id}`
}
