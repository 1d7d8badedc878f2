/** The first administrator, who signs in as everybody does. */
import { scopes } from '../../../src/domain/principal.ts'
import { isGoodPassword, normalisedEmail } from '../../../src/domain/user.ts'
import { systemClock as clock } from '../../../src/resilience/clock.ts'
import { createPasswords } from '../passwords.ts'
import { nameOf } from './arguments.ts'
import type { Command } from './command.ts'
import { CommandError } from './report.ts'

const longestLine = 1_024
const passwords = createPasswords({ clock })

export const createAdmin: Command = {
  words: ['create-admin'],
  usage: '--email EMAIL [--name NAME] [--password-stdin] [--api-key]',
  does: 'makes an administrator; the password is read from stdin, else one is made and told, as the API key is, once',
  options: {
    email: { type: 'string' },
    name: { type: 'string' },
    'password-stdin': { type: 'boolean' },
    'api-key': { type: 'boolean' },
  },
  async run({ users, accounts }, args) {
    const email = normalisedEmail(args.required('email'))
    if (!/^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(email) || email.length > 254) {
      throw new CommandError(`--email=${email} is no address`, 2)
    }
    const name = nameOf(args) ?? email.split('@')[0]!
    const given = args.has('password-stdin') ? await passwordFromStdin() : undefined
    const password = given ?? passwords.generate()
    const role = 'administrator'
    const user = await users.register({ email, name, role, passwordHash: await passwords.hash(password) })
    if (!user) throw new CommandError(`there is an account with the email ${email}`)
    const { accountId } = user
    const key = args.has('api-key') && (await accounts.createApiKey(accountId, { name: 'first key', scopes }))
    const told = { ...(given === undefined && { password }), ...(key && { api_key: key.apiKey }) }
    const note = Object.keys(told).length > 0 ? 'What is secret is shown this once. Keep it.' : undefined
    return { rows: [{ account: accountId, email, name, role, ...told }], note }
  },
}

/** Its first line. */
async function passwordFromStdin(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const piece of process.stdin) {
    text += piece
    if (text.includes('\n') || text.length > longestLine) break
  }
  const password = text.split(/\r?\n/, 1)[0]!
  if (!isGoodPassword(password)) throw new CommandError('the password on stdin must have 12 to 200 characters', 2)
  return password
}
