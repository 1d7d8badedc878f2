/** One random history of rents, crashes and faults, from its seed to what is wrong with its end. */
import { isFinal, type Rental } from '../../src/domain/rental.ts'
import { ApiError } from '../../src/errors.ts'
import type { Payer } from '../../src/services/rental-desk.ts'
import { spec } from '../../tests/support/rental-world.ts'
import { accounts, checkBooks, checkMachines } from './check.ts'
import { createDice, type Dice } from './dice.ts'
import { createMischief } from './mischief.ts'
import { count, type Tally } from './tally.ts'
import { budgetedKey, createWorld, type Pod, type World, type WorldOptions } from './world.ts'

export interface History {
  seed: number
  violations: string[]
  tally: Tally
}

const nobody = new AbortController().signal
const minuteMs = 60_000
const stepMs = 5_000
/** Longest that anything may be on its way when nothing goes wrong any more. */
const restMs = 60 * minuteMs
/** Two lists a minute apart, by a pod whose circuit may be open for five, and who has to see first that another is dead. */
const reconcileMs = 10 * minuteMs

export async function runHistory(options: WorldOptions): Promise<History> {
  const world = createWorld(options)
  const { clock, books, random, tally } = world
  const dice = createDice(random)
  const mischief = createMischief(world, dice)
  const credits = { rich: 1e9, other: 1e9, poor: dice.whole(500_000, 5_000_000) }
  books.of('poor').available = credits.poor
  for (let n = dice.whole(2, 3); n > 0; n--) world.startPod()

  for (let n = dice.whole(10, 30); n > 0; n--) {
    act(world, dice, mischief.happen)
    await clock.advance(pauseOf(dice))
  }
  mischief.end()
  world.tell('nothing goes wrong any more')
  for (const { life } of world.pods) life.endAt(Number.POSITIVE_INFINITY, 'before')

  const violations: string[] = []
  const settle = async (when: string) => {
    if (!(await comeToRest(world))) violations.push(`${when}: nothing comes to rest: ${describe(world)}`)
    await clock.advance(reconcileMs)
  }
  await settle('while machines run')
  violations.push(...checkMachines(world))
  const [pod] = world.livePods()
  for (const { accountId, id, state } of world.rows()) {
    if (!isFinal(state)) void tryTo(world, pod!, 'last end', () => pod!.renting.instances.end(accountId, id))
  }
  await settle('when all was ended')
  violations.push(...checkMachines(world), ...checkBooks(world, mischief, credits), ...world.faults)
  count(tally, 'histories')
  for (const { reason, startedAt } of world.rows()) {
    count(tally, `ended ${reason}`)
    if (startedAt) count(tally, 'machines rented')
  }
  return { seed: options.seed, violations: [...new Set(violations)], tally }
}

const weights = { rent: 7, reserve: 2, stop: 2, start: 2, end: 3, kill: 1, dieSoon: 3, mischief: 7 }

function act(world: World, dice: Dice, mischief: () => void): void {
  const kind = dice.weighted(weights)
  const pods = world.livePods()
  const live = world.rows().filter(({ state }) => !isFinal(state))
  if (kind === 'mischief') mischief()
  else if (pods.length > 0) {
    const pod = dice.pick(pods)
    if (kind === 'kill') pod.life.end()
    else if (kind === 'dieSoon') pod.life.endAt(dice.whole(1, 25), dice.pick(['before', 'after']))
    else if (kind === 'rent' || kind === 'reserve') rent(world, dice, pod, kind)
    else if (live.length > 0) change(world, pod, kind, dice.pick(live))
  }
}

function change(world: World, pod: Pod, kind: 'end' | 'start' | 'stop', { accountId, id }: Rental): void {
  const { instances } = pod.renting
  void tryTo(world, pod, kind, () =>
    kind === 'end' ? instances.end(accountId, id) : instances.setRunning(accountId, id, kind === 'start', nobody),
  )
}

function rent(world: World, dice: Dice, pod: Pod, kind: 'rent' | 'reserve'): void {
  const accountId = dice.weighted({ [accounts[0]]: 3, [accounts[1]]: 2, [accounts[2]]: 1 })
  const { id, limits } = budgetedKey
  const budgets = accountId === 'other' ? { keyId: id, perDay: limits.budgetPerDay, perMonth: undefined } : undefined
  const buyer: Payer = { accountId, keyId: budgets ? id : 'key', purseId: budgets ? id : accountId, budgets }
  const market = dice.pick(['vastai', 'ionet'] as const)
  const offer = dice.pick(world.offered[market])
  const { gpuModel } = offer
  const order = {
    spec: {
      ...spec,
      replace: dice.chance(0.3),
      ...(dice.chance(0.3) && { maxHours: dice.whole(1, 3) }),
    },
    search: { filter: dice.pick([{}, { market }, { gpuModel }]), spread: dice.chance(0.3) },
  }
  const { desk, reservations } = pod.renting
  if (kind === 'reserve') {
    void tryTo(world, pod, 'reserve', () => reservations.reserve(buyer, order, dice.whole(2, 4)))
  } else if (dice.chance(0.5))
    void tryTo(world, pod, 'rent named', () => desk.rent(buyer, { ...order, offerId: offer.id }))
  else void tryTo(world, pod, 'rent', () => desk.rent(buyer, order))
}

async function tryTo(world: World, pod: Pod, name: string, ask: () => Promise<unknown>): Promise<void> {
  const { tally, faults, tell } = world
  tell(`asked to ${name}`)
  count(tally, `asked to ${name}`)
  pod.open++
  try {
    await ask()
    count(tally, `done ${name}`)
  } catch (error) {
    if (error instanceof ApiError) count(tally, `refused ${error.code}`)
    else faults.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`)
  }
  pod.open--
}

/** Mostly soon, sometimes after hours. */
function pauseOf(dice: Dice): number {
  switch (dice.weighted({ soon: 60, later: 25, minutes: 10, hours: 5 })) {
    case 'soon':
      return dice.between(100, 10_000)
    case 'later':
      return dice.between(10_000, 2 * minuteMs)
    case 'minutes':
      return dice.between(2 * minuteMs, 15 * minuteMs)
    case 'hours':
      return dice.between(15 * minuteMs, 150 * minuteMs)
  }
}

const passing: readonly Rental['state'][] = ['intended', 'creating', 'unknown', 'starting', 'stopping', 'ending']
const onTheWay = (world: World) => world.rows().filter(({ state }) => passing.includes(state))
const describe = (world: World) =>
  [
    ...onTheWay(world).map(({ id, state }) => `${id} is ${state}`),
    ...world.livePods().map(({ open }) => `${open} open`),
  ].join(', ')

async function comeToRest(world: World): Promise<boolean> {
  for (let passed = 0; passed < restMs; passed += stepMs) {
    await world.clock.advance(stepMs)
    const pods = world.livePods()
    if (pods.length > 0 && pods.every(({ open }) => open === 0) && onTheWay(world).length === 0) return true
  }
  return false
}
