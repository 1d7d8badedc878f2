/**
 * Passwords as argon2id (RFC 9106), off the event loop. Each takes memory on purpose, so few run at once. The parameters
 * stand in the hash: raising them here makes old hashes outdated, and each is made anew when its owner signs in.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { ApiError } from '../../src/errors.ts'
import type { Passwords } from '../../src/ports.ts'
import { BulkheadFull, createBulkhead } from '../../src/resilience/bulkhead.ts'
import type { Clock } from '../../src/resilience/clock.ts'

export interface PasswordCost {
  memoryKib: number
  passes: number
}

/** OWASP's first choice for a server: 19 MiB, two passes; about 25 ms of one core. */
const usualCost: PasswordCost = { memoryKib: 19_456, passes: 2 }
/** Half of the platform's four threads: files and names are looked up on the others. */
const atOnce = 2
/** As many as are done within the wait. */
const queue = { maxQueue: 64, maxWaitMs: 2_000 }
const saltBytes = 16
const tagBytes = 32
const derive = promisify(argon2)

interface Stored extends PasswordCost {
  salt: Buffer
  tag: Buffer
}

export function createPasswords({ clock, cost = usualCost }: { clock: Clock; cost?: PasswordCost }): Passwords {
  const places = createBulkhead({ clock, limit: atOnce, maxQueue: queue.maxQueue })
  /** Stands in where there is no hash, so that an unknown account takes as long as a wrong password. */
  const decoy: Stored = { ...cost, salt: randomBytes(saltBytes), tag: randomBytes(tagBytes) }

  async function tagOf(password: string, { memoryKib, passes, salt }: Omit<Stored, 'tag'>): Promise<Buffer> {
    const release = await enter()
    try {
      // The same letters may come in other code points from another keyboard (NIST SP 800-63B, section 5.1.1.2).
      const message = Buffer.from(password.normalize('NFKC'))
      const parameters = { message, nonce: salt, parallelism: 1, tagLength: tagBytes, memory: memoryKib, passes }
      return await derive('argon2id', parameters)
    } finally {
      release()
    }
  }

  async function enter() {
    try {
      return await places.acquire({ maxWaitMs: queue.maxWaitMs })
    } catch (cause) {
      if (!(cause instanceof BulkheadFull)) throw cause
      throw new ApiError('overloaded', { cause, retryAfterMs: queue.maxWaitMs, shouldRetry: true })
    }
  }

  return {
    async hash(password) {
      const salt = randomBytes(saltBytes)
      const tag = await tagOf(password, { ...cost, salt })
      const { memoryKib, passes } = cost
      return `$argon2id$v=19$m=${memoryKib},t=${passes},p=1$${unpadded(salt)}$${unpadded(tag)}`
    },
    async check(password, hash) {
      const stored = hash === undefined ? decoy : parse(hash)
      const isRight = timingSafeEqual(await tagOf(password, stored), stored.tag)
      if (!isRight || hash === undefined) return 'wrong'
      return stored.memoryKib === cost.memoryKib && stored.passes === cost.passes ? 'right' : 'outdated'
    },
    generate: () => randomBytes(15).toString('base64url'),
  }
}

/** The usual form: https://github.com/P-H-C/phc-string-format */
const form = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=1\$([\w+/]+)\$([\w+/]+)$/

function parse(hash: string): Stored {
  const [, memory, passes, salt, tag] = form.exec(hash) ?? []
  if (salt === undefined || tag === undefined) throw new TypeError('a stored password hash has another form')
  const stored = { memoryKib: Number(memory), passes: Number(passes) }
  return { ...stored, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
}

const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/={1,2}$/, '')
