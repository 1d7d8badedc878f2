#!/usr/bin/env node
/**
 * The operator's tool: `npm run admin -- …`, in the image `aiserve-admin …`. It has the gateway's own configuration and
 * goes to the same database. Exit codes: 0 done, 1 it could not be done or something is wrong, 2 called wrongly.
 */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { type Config, loadConfig } from '../../src/config.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { accountCommands } from './admin/accounts.ts'
import { type Arguments, readArguments } from './admin/arguments.ts'
import type { Command } from './admin/command.ts'
import { checkConfig, printConfig } from './admin/configuration.ts'
import { createAdmin } from './admin/create-admin.ts'
import { migrateSchema } from './admin/migrate.ts'
import { moneyCommands } from './admin/money.ts'
import { CommandError, type Report, reportText } from './admin/report.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { openStorage } from './storage.ts'

const commands = [createAdmin, ...accountCommands, ...moneyCommands, migrateSchema]
/** Whoever waits at a terminal may wait longer than a request, and one account's whole ledger is one statement. */
const patience = { DB_STATEMENT_TIMEOUT: 120_000, DB_ACQUIRE_TIMEOUT: 5_000 }
const fewConnections = { DB_MAX_CONNS: 8, DB_MIN_CONNS: 0, DB_FLEET_MAX_CONNS: 0 }

const words = process.argv.slice(2)
try {
  process.exitCode = await run()
} catch (error) {
  // One line that says what to do; a stack trace only where the program itself is wrong.
  const mistake = !(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError
  process.stderr.write(`${mistake ? inspect(error) : error.message}\n`)
  process.exitCode = error instanceof CommandError ? error.exitCode : 1
}

/** Answers the exit code. */
async function run(): Promise<number> {
  const [first] = words
  if (first === undefined || (words.length === 1 && ['-h', '--help', 'help'].includes(first))) {
    process.stdout.write(help(commands))
    return first === undefined ? 2 : 0
  }
  if (first === '--check-config' || first === '--print-config') {
    const args = readArguments(words.slice(1), {}, 0)
    const config = load()
    return print(
      first === '--print-config' ? printConfig(process.env, config) : await checkConfig(process.env, config),
      args,
    )
  }
  const command = commands.find((each) => each.words.every((word, i) => words[i] === word))
  if (!command) throw new CommandError(`there is no command ${words.slice(0, 2).join(' ')}: see --help`, 2)
  const args = readArguments(words.slice(command.words.length), command.options ?? {}, command.places ?? 0)
  if (args.has('help')) {
    process.stdout.write(help([command]))
    return 0
  }
  return print(await inStorage(command, args, load()), args)
}

function print(report: Report, args: Arguments): number {
  process.stdout.write(reportText(report, args.has('json')))
  return report.failed ? 1 : 0
}

function load(): Config {
  return loadConfig(process.env, (path) => readFileSync(path, 'utf8'))
}

async function inStorage(command: Command, args: Arguments, config: Config): Promise<Report> {
  const log = createLog('warn', 2)
  // The account of the bootstrap key is the gateways' to make.
  const own = { ...config, ...patience, ...fewConnections, BOOTSTRAP_API_KEY: undefined, DB_READ_REPLICAS: undefined }
  const options = { clock, random: Math.random, log, metrics: createMetrics(), beside: true }
  const storage = await openStorage(own, options)
  try {
    return await command.run(storage, args, config)
  } finally {
    await storage.close()
    log.flush()
  }
}

function help(shown: readonly Command[]): string {
  const lines = shown.map(({ words, usage, does }) => `  ${`${words.join(' ')} ${usage}`.trim()}\n      ${does}\n`)
  return `usage: npm run admin -- COMMAND [--json]\n\n${lines.join('')}
  --check-config
      whether the environment and the routing file are what a gateway would start with
  --print-config
      every variable with what is in force; secrets are not shown

limits: --requests-per-minute N, --tokens-per-minute N, --max-concurrent N; none lifts one
`
}
