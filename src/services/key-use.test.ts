import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { KeyUse as Use } from '../ports.ts'
import { createKeyUse, type KeyUse } from './key-use.ts'

let clock: FakeClock
let written: Use[][]
let mode: { readOnly: boolean }
let warnings: string[]
let record: (uses: readonly Use[]) => Promise<void>
let keyUse: KeyUse
const log = { debug() {}, info() {}, error() {}, warn: (message: string) => void warnings.push(message) }
beforeEach(() => {
  clock = new FakeClock()
  written = []
  warnings = []
  mode = { readOnly: false }
  record = async (uses) => void written.push([...uses])
  keyUse = createKeyUse({ clock, accounts: { recordKeyUse: (uses) => record(uses) }, mode, log })
})
const note = (keyId: string) => keyUse.note({ accountId: 'an account', keyId })

test('each key is written once a minute, with the time of its last use, however often it is used', async () => {
  note('a')
  await clock.advance(30_000)
  for (let i = 0; i < 1_000; i++) note('a')
  note('b')
  const at = new Date(clock.wallNow())
  expect(written).toEqual([])
  await clock.advance(30_000)
  expect(written).toEqual([['a', 'b'].map((keyId) => ({ accountId: 'an account', keyId, at }))])
  await clock.advance(600_000)
  expect(written).toHaveLength(1)
  expect(clock.pendingTimers).toBe(0)
})

test('many are written in groups, and beyond a bound no more are taken', async () => {
  for (let i = 0; i < 25_000; i++) note(String(i))
  await clock.advance(60_000)
  expect(written.map((group) => group.length)).toEqual(Array(40).fill(500))
})

test('nothing is written while nothing may be', async () => {
  note('a')
  mode.readOnly = true
  await clock.advance(60_000)
  expect(written).toEqual([])
})

test('a write that fails is told, and the next minute goes on', async () => {
  record = async () => Promise.reject(new Error('no database'))
  note('a')
  await clock.advance(60_000)
  expect(warnings).toHaveLength(1)
  record = async (uses) => void written.push([...uses])
  note('b')
  await clock.advance(60_000)
  expect(written).toEqual([[expect.objectContaining({ keyId: 'b' })]])
})

test('while a write hangs no other is begun', async () => {
  let calls = 0
  record = () => {
    calls++
    return new Promise(() => {})
  }
  note('a')
  await clock.advance(60_000)
  note('b')
  await clock.advance(600_000)
  expect(calls).toBe(1)
})

test('at the end what is there is written, and nothing is noted after that', async () => {
  note('a')
  await keyUse.close()
  expect(written).toEqual([[expect.objectContaining({ keyId: 'a' })]])
  note('b')
  expect(clock.pendingTimers).toBe(0)
})
