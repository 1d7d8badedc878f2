/** The judge of the scorecard: what must not pass does not pass. */
import { describe, expect, test } from 'vitest'
import { answer, promptTokens } from '../../bench/failover/answer.ts'
import type { Seen } from '../../bench/failover/caller.ts'
import { faults } from '../../bench/failover/faults.ts'
import type { Attempt } from '../../bench/failover/faulty-provider.ts'
import { type Run, type Verdict, verdictOf } from '../../bench/failover/judge.ts'
import { profiles } from '../../bench/failover/profile.ts'

const profile = profiles.full

const attempt = (provider: string, at: number): Attempt => ({
  at,
  provider,
  model: `${provider}-model`,
  body: { model: `${provider}-model`, messages: [{ role: 'user', content: 'hi' }] },
  closedAt: at + 1_000,
  abandoned: provider === 'primary',
})

/** What a faultless call from the given provider looks like. */
function seenFrom(provider: 'primary' | 'spare', more: Partial<Seen> = {}): Seen {
  const named = { 'x-gpuproxy-provider': provider, 'x-gpuproxy-model': `${provider}-model` }
  return {
    status: 200,
    headers: new Headers(named),
    ms: 1_000,
    text: answer,
    finish: 'stop',
    model: `${provider}-model`,
    usage: { prompt_tokens: promptTokens[provider], completion_tokens: 60 },
    done: true,
    error: undefined,
    broken: undefined,
    ...more,
  }
}

function judge(id: string, run: Partial<Run>, variant = 0): Verdict {
  const fault = faults.find((each) => each.id === id)!
  return verdictOf(
    fault.variants[variant]!.judge({ seen: seenFrom('primary'), primary: [], spare: [], profile, ...run }),
  )
}

const half = answer.slice(0, answer.indexOf(' w41'))
const interrupted = { code: 'stream_interrupted', message: 'The answer broke off.' }
const cut = { primary: [attempt('primary', 0)], spare: [attempt('spare', 600)] }

describe('an answer that was cut', () => {
  test.each<[string, Partial<Seen>, Verdict]>([
    ['whole', {}, 'pass'],
    ['short and looking whole', { text: half }, 'fail'],
    ['short and simply ended', { text: half, done: false, finish: undefined }, 'fail'],
    ['short with an error event', { text: half, done: false, finish: undefined, error: interrupted }, 'safe'],
    ['short with an error event and [DONE]', { text: half, error: interrupted }, 'fail'],
    ['with a word twice', { text: answer.replace(' w41', ' w40 w41') }, 'fail'],
    ['with a word missing', { text: answer.replace(' w41', '') }, 'fail'],
    ['with more after the end', { text: `${answer} w61` }, 'fail'],
    ['whole without [DONE]', { done: false }, 'fail'],
    ['never ending', { text: half, done: false, broken: 'no end within 150 s' }, 'fail'],
    ['reported as the first one’s', { model: 'primary-model' }, 'fail'],
    ['without usage', { usage: undefined }, 'fail'],
  ])('%s', (_, more, verdict) => {
    const headers = seenFrom('primary').headers
    expect(judge('S08', { ...cut, seen: seenFrom('spare', { headers, ...more }) })).toBe(verdict)
  })
})

describe('conduct', () => {
  const again = (waitMs: number): Partial<Run> => ({ primary: [attempt('primary', 0), attempt('primary', waitMs)] })
  const silent = { primary: [attempt('primary', 0)], spare: [attempt('spare', 10_000)] }
  const refusal = seenFrom('primary', {
    status: 400,
    text: '',
    done: false,
    error: { code: 'content_policy_violation', message: 'no' },
  })
  const many = (count: number, everyMs: number) => ({
    seen: seenFrom('spare'),
    primary: Array.from({ length: count }, (_, i) => attempt('primary', i * everyMs)),
    spare: [attempt('spare', 5_000)],
  })

  test.each<[string, Verdict, Verdict]>([
    ['a Retry-After that is waited for', judge('S01', again(2_050)), 'pass'],
    ['a Retry-After that is not', judge('S01', again(600)), 'partial'],
    ['a throttled provider that is given up at once', judge('S01', { ...cut, seen: seenFrom('spare') }), 'partial'],
    ['few tries at a failing provider', judge('S16', many(3, 50)), 'pass'],
    ['five tries in a burst', judge('S16', many(5, 50)), 'partial'],
    ['seven tries', judge('S16', many(7, 2_000)), 'partial'],
    ['a silent provider tried once', judge('S06', { ...silent, seen: seenFrom('spare', { ms: 11_000 }) }), 'pass'],
    ['a silent provider waited for', judge('S06', { ...silent, seen: seenFrom('spare', { ms: 130_000 }) }), 'partial'],
    [
      'a silent provider tried twice',
      judge('S06', { ...again(30_000), spare: silent.spare, seen: seenFrom('spare') }),
      'partial',
    ],
    [
      'a silent call left open',
      judge('S06', { ...silent, primary: [{ ...attempt('primary', 0), abandoned: false }], seen: seenFrom('spare') }),
      'partial',
    ],
    ['a refusal that is passed on', judge('S13', { seen: refusal, primary: [attempt('primary', 0)] }), 'pass'],
    ['a refusal that is routed around', judge('S13', { ...cut, seen: seenFrom('spare') }), 'partial'],
    ['a refusal asked for again elsewhere', judge('S13', { ...cut, seen: refusal }), 'partial'],
    [
      'a prompt that is too long, resent',
      judge('S12', { ...again(100), spare: cut.spare, seen: seenFrom('spare') }),
      'fail',
    ],
    ['a missing [DONE] waited for', judge('S11', { ...again(1), seen: seenFrom('primary', { ms: 9_000 }) }), 'fail'],
  ])('%s', (_, verdict, expected) => {
    expect(verdict).toBe(expected)
  })
})
