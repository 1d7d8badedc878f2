/**
 * The sandbox's OpenAI server in a process of its own, so that its memory is not counted as the gateway's. The words of a
 * stream follow one another at once: how fast the gateway carries them is what a replay wants to know.
 */
import { startSandbox } from '../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../src/resilience/clock.ts'

const sandbox = await startSandbox({ clock, random: Math.random, servers: ['openai'], wordIntervalMs: 0 })
console.log(JSON.stringify({ msg: 'listening', url: sandbox.openai?.baseUrl }))
process.once('SIGTERM', () => void sandbox.close().finally(() => process.exit(0)))
