/**
 * What a shared cache must do, by sections of RFC 9111 (and of 5861, 9110 and 9213 where they are named). Each case is a
 * conversation: what a caller asks, what the origin answers if it is asked, and what either of them must have seen. Time
 * does not pass in it: answers come with an age.
 */

export type Level = 'MUST' | 'SHOULD' | 'MAY'
/** `null`: the header must not be there. A function is given the present time in ms. */
export type HeaderValue = string | null | RegExp | ((now: number) => string)
export type CaseHeaders = Record<string, string | ((now: number) => string)>

export interface OriginAnswer {
  status?: number
  headers?: CaseHeaders
  body?: string
  /** Sent as content-length in place of the true one. */
  claimedLength?: number
}

export interface Step {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'OPTIONS'
  /** After the case's own path. */
  suffix?: string
  headers?: CaseHeaders
  body?: string
  /** What the origin would say. `down`: it cuts the connection. */
  origin?: OriginAnswer | 'down'
  /** Who must have answered. @default not judged */
  from?: 'cache' | 'origin'
  status?: number
  /** @default that of whoever must have answered */
  bodyIs?: string
  sees?: Record<string, HeaderValue>
  /** What the origin must have been asked with. */
  asks?: Record<string, HeaderValue>
  /** The answer must not come whole. */
  broken?: true
}

export interface Case {
  section: string
  level: Level
  name: string
  steps: Step[]
}

export const date = (offsetSeconds: number) => (now: number) =>
  new Date(Math.floor(now / 1000 + offsetSeconds) * 1000).toUTCString()
const hour = 'max-age=3600'

const cases: Case[] = []
const add = (section: string, level: Level, name: string, ...steps: Step[]) =>
  cases.push({ section, level, name, steps })
const asked = (origin: OriginAnswer, more: Partial<Step> = {}): Step => ({ origin, from: 'origin', ...more })
const again = (from: 'cache' | 'origin', more: Partial<Step> = {}): Step => ({
  origin: { headers: { 'cache-control': hour }, body: 'second' },
  from,
  ...more,
})
const control = (value: string, more: CaseHeaders = {}): OriginAnswer => ({
  headers: { 'cache-control': value, ...more },
})
const isReused = (section: string, level: Level, name: string, answer: OriginAnswer, second: Partial<Step> = {}) =>
  add(section, level, name, asked(answer), again('cache', second))
const isNotReused = (section: string, level: Level, name: string, answer: OriginAnswer, second: Partial<Step> = {}) =>
  add(section, level, name, asked(answer), again('origin', second))

// Section 2 and 3: what is stored.
isReused('2', 'SHOULD', 'a fresh answer is used again', control(hour))
add('2', 'MUST', 'another URL is another answer', asked(control(hour)), again('origin', { suffix: '/other' }))
add('2', 'MUST', 'another query is another answer', asked(control(hour)), again('origin', { suffix: '?b=1' }))
add(
  '2',
  'MUST',
  'a query in another order is another answer',
  asked(control(hour), { suffix: '?a=1&b=2' }),
  again('origin', { suffix: '?b=2&a=1' }),
)
add(
  '2',
  'MUST',
  'a path in other letters is another answer',
  asked(control(hour), { suffix: '/A' }),
  again('origin', { suffix: '/a' }),
)
add('2', 'MUST', 'a slash at the end makes another answer', asked(control(hour)), again('origin', { suffix: '/' }))
for (const status of [200, 203, 301, 308, 404, 405, 410, 414, 501]) {
  isReused('3', 'SHOULD', `${status} with a lifetime is used again`, { status, headers: { 'cache-control': hour } })
}
for (const status of [302, 303, 307, 451, 421]) {
  isReused('3', 'MAY', `${status} with a lifetime is used again`, { status, headers: { 'cache-control': hour } })
}
for (const status of [299, 499, 599, 402, 418]) {
  isNotReused('3', 'MUST', `${status}, which is not understood, is not kept`, {
    status,
    headers: { 'cache-control': hour },
  })
}
for (const status of [302, 303, 307, 400, 401, 403, 451, 500, 502, 503, 504]) {
  isNotReused('3', 'MUST', `${status} without a word about it is not kept`, {
    status,
    headers: { 'last-modified': date(-864_000) },
  })
}
for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
  add(
    '3',
    'MUST',
    `the answer to a ${method} is not sent to a GET`,
    asked(control(hour), { method, ...(method === 'POST' && { body: 'x' }) }),
    again('origin'),
  )
  add(
    '4',
    'MUST',
    `a ${method} is not answered with what a GET brought`,
    asked(control(hour)),
    again('origin', { method, ...(method === 'POST' && { body: 'x' }) }),
  )
}
for (const value of [
  'no-store',
  'No-Store',
  'NO-STORE',
  'max-age=3600, no-store',
  'no-store, max-age=3600',
  'no-store, public',
]) {
  isNotReused('5.2.2.5', 'MUST', `an answer with ${value} is not kept`, control(value))
}
add(
  '5.2.1.5',
  'MUST',
  'the answer to a request with no-store is not kept',
  asked(control(hour), { headers: { 'cache-control': 'no-store' } }),
  again('origin'),
)
for (const value of [
  'private',
  'Private',
  'private, max-age=3600',
  'max-age=3600, private',
  'private, s-maxage=3600',
  'private, public',
]) {
  isNotReused('5.2.2.7', 'MUST', `an answer with ${value} is not kept`, control(value))
}
add(
  '5.2.2.7',
  'MUST',
  'a field that private names is not kept',
  asked(control('max-age=3600, private="x-secret"', { 'x-secret': 'yes', 'x-open': 'yes' })),
  again('cache', { sees: { 'x-secret': null, 'x-open': 'yes' } }),
)
add(
  '5.2.2.4',
  'MUST',
  'a field that no-cache names is not sent unasked',
  asked(
    control('max-age=3600, no-cache="x-secret, x-other"', { 'x-secret': 'yes', 'x-other': 'yes', 'x-open': 'yes' }),
  ),
  again('cache', { sees: { 'x-secret': null, 'x-other': null, 'x-open': 'yes' } }),
)
isNotReused('5.2.2.3', 'MUST', 'must-understand with no-store and a status that is not understood is not kept', {
  status: 299,
  headers: { 'cache-control': 'must-understand, no-store, max-age=3600' },
})
isReused(
  '5.2.2.3',
  'SHOULD',
  'must-understand lifts no-store where the status is understood',
  control('must-understand, no-store, max-age=3600'),
)
isNotReused(
  '3',
  'MUST',
  'an answer with a cookie is not kept',
  control('public, max-age=3600', { 'set-cookie': 'a=b' }),
)
isNotReused('3', 'MUST', 'an answer without lifetime and last change is not kept for use', { headers: {} })

// 3.1: header fields.
add(
  '3.1',
  'MUST',
  'unknown fields are kept',
  asked(control(hour, { 'x-anything': 'kept' })),
  again('cache', { sees: { 'x-anything': 'kept' } }),
)
add(
  '3.1',
  'MUST',
  'fields that Connection names are not kept',
  asked(control(hour, { connection: 'x-hop', 'x-hop': 'yes' })),
  again('cache', { sees: { 'x-hop': null } }),
)
for (const name of ['proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization']) {
  add(
    '3.1',
    'MUST',
    `${name} is not kept`,
    asked(control(hour, { [name]: 'Basic' })),
    again('cache', { sees: { [name]: null } }),
  )
}
add(
  '3.1',
  'SHOULD',
  'the type of the content is kept',
  asked(control(hour, { 'content-type': 'text/x-thing' })),
  again('cache', { sees: { 'content-type': 'text/x-thing' } }),
)

// 3.3: parts and incomplete answers.
add(
  '3.3',
  'MUST',
  'an answer that ended too early is not kept',
  { origin: { ...control(hour), body: 'short', claimedLength: 100 }, broken: true },
  again('origin'),
)
add(
  '3.3',
  'MUST',
  'a part is not sent for the whole',
  asked(
    { status: 206, headers: { 'cache-control': hour, 'content-range': 'bytes 0-4/10' }, body: 'first' },
    { headers: { range: 'bytes=0-4' } },
  ),
  again('origin'),
)
add(
  '3.3',
  'SHOULD',
  'a part is made of the whole',
  asked({ ...control(hour), body: '0123456789' }),
  again('cache', {
    headers: { range: 'bytes=2-4' },
    status: 206,
    bodyIs: '234',
    sees: { 'content-range': 'bytes 2-4/10', 'content-length': '3' },
  }),
)
add(
  '3.3',
  'SHOULD',
  'the last bytes are made of the whole',
  asked({ ...control(hour), body: '0123456789' }),
  again('cache', {
    headers: { range: 'bytes=-3' },
    status: 206,
    bodyIs: '789',
    sees: { 'content-range': 'bytes 7-9/10' },
  }),
)
add(
  '3.3',
  'SHOULD',
  'all from a byte on is made of the whole',
  asked({ ...control(hour), body: '0123456789' }),
  again('cache', {
    headers: { range: 'bytes=6-' },
    status: 206,
    bodyIs: '6789',
    sees: { 'content-range': 'bytes 6-9/10' },
  }),
)
add(
  '3.3',
  'SHOULD',
  'a range beyond the end is refused with the length',
  asked({ ...control(hour), body: '0123456789' }),
  again('cache', {
    headers: { range: 'bytes=20-30' },
    status: 416,
    bodyIs: '',
    sees: { 'content-range': 'bytes */10' },
  }),
)
add(
  '3.3',
  'MUST',
  'If-Range with another tag gives the whole',
  asked({ ...control(hour, { etag: '"a"' }), body: '0123456789' }),
  again('cache', {
    headers: { range: 'bytes=2-4', 'if-range': '"b"' },
    status: 200,
    bodyIs: '0123456789',
  }),
)
add(
  '3.3',
  'MUST',
  'If-Range with a weak tag gives the whole',
  asked({ ...control(hour, { etag: 'W/"a"' }), body: '0123456789' }),
  again('cache', {
    headers: { range: 'bytes=2-4', 'if-range': 'W/"a"' },
    status: 200,
    bodyIs: '0123456789',
  }),
)
add(
  '3.3',
  'SHOULD',
  'If-Range with the same tag gives the part',
  asked({ ...control(hour, { etag: '"a"' }), body: '0123456789' }),
  again('cache', {
    headers: { range: 'bytes=2-4', 'if-range': '"a"' },
    status: 206,
    bodyIs: '234',
  }),
)

// 3.5: credentials.
const bearer = { authorization: 'Bearer abc' }
add(
  '3.5',
  'MUST',
  'the answer to a request with a credential is not sent to others',
  asked(control(hour), { headers: bearer }),
  again('origin'),
)
add(
  '3.5',
  'MUST',
  'not even to the same caller',
  asked(control(hour), { headers: bearer }),
  again('origin', { headers: bearer }),
)
add(
  '3.5',
  'MUST',
  'nor with Expires',
  asked({ headers: { expires: date(3600) } }, { headers: bearer }),
  again('origin'),
)
add(
  '3.5',
  'MUST',
  'nor by a lifetime that is only guessed',
  asked({ headers: { 'last-modified': date(-864_000) } }, { headers: bearer }),
  again('origin'),
)
for (const name of ['cookie', 'x-api-key']) {
  add(
    '3.5',
    'MUST',
    `a ${name} is a credential, too`,
    asked(control(hour), { headers: { [name]: 'a=b' } }),
    again('origin'),
  )
}

// 4.1: Vary.
add(
  '4.1',
  'MUST',
  'an answer that was chosen by another header is not sent',
  asked(control(hour, { vary: 'x-lang' }), { headers: { 'x-lang': 'de' } }),
  again('origin', { headers: { 'x-lang': 'en' } }),
)
add(
  '4.1',
  'MUST',
  'nor where the header is absent now',
  asked(control(hour, { vary: 'x-lang' }), { headers: { 'x-lang': 'de' } }),
  again('origin'),
)
add(
  '4.1',
  'MUST',
  'nor where it was absent then',
  asked(control(hour, { vary: 'x-lang' })),
  again('origin', { headers: { 'x-lang': 'de' } }),
)
add(
  '4.1',
  'MUST',
  'all headers that Vary names must be the same',
  asked(control(hour, { vary: 'x-a, x-b' }), { headers: { 'x-a': '1', 'x-b': '1' } }),
  again('origin', { headers: { 'x-a': '1', 'x-b': '2' } }),
)
add(
  '4.1',
  'SHOULD',
  'the same header finds the answer',
  asked(control(hour, { vary: 'X-Lang' }), { headers: { 'x-lang': 'de' } }),
  again('cache', { headers: { 'x-lang': 'de' } }),
)
add(
  '4.1',
  'SHOULD',
  'a header that is absent both times finds the answer',
  asked(control(hour, { vary: 'x-lang' })),
  again('cache'),
)
add(
  '4.1',
  'SHOULD',
  'spaces in the header mean nothing',
  asked(control(hour, { vary: 'x-lang' }), { headers: { 'x-lang': 'de, en' } }),
  again('cache', { headers: { 'x-lang': 'de,en' } }),
)
add(
  '4.1',
  'SHOULD',
  'several answers to one URL are kept',
  asked({ ...control(hour, { vary: 'x-lang' }), body: 'german' }, { headers: { 'x-lang': 'de' } }),
  asked({ ...control(hour, { vary: 'x-lang' }), body: 'english' }, { headers: { 'x-lang': 'en' } }),
  again('cache', { headers: { 'x-lang': 'de' }, bodyIs: 'german' }),
  again('cache', { headers: { 'x-lang': 'en' }, bodyIs: 'english' }),
)
for (const vary of ['*', '*, x-lang', 'x-lang, *']) {
  isNotReused('4.1', 'MUST', `nothing is chosen again by Vary: ${vary}`, control(hour, { vary }))
}
for (const vary of ['authorization', 'Cookie', 'x-api-key']) {
  isNotReused('4.1', 'MUST', `what is chosen by ${vary} is nobody else's`, control('public, max-age=3600', { vary }))
}

// 4.2: freshness.
isReused('4.2.1', 'SHOULD', 'Expires in the future is fresh', { headers: { expires: date(3600), date: date(0) } })
isNotReused('4.2.1', 'MUST', 'Expires in the past is stale', { headers: { expires: date(-3600), date: date(0) } })
for (const value of ['0', '-1', 'never', '', '2099', 'Thu, 99 Foo 2099 00:00:00 GMT']) {
  isNotReused('5.3', 'MUST', `Expires: ${value || '(empty)'} is in the past`, {
    headers: { expires: value, date: date(0) },
  })
}
isNotReused('5.3', 'MUST', 'max-age wins over Expires', control('max-age=0', { expires: date(3600) }))
isReused('5.3', 'SHOULD', 'max-age wins over Expires, also where it is longer', control(hour, { expires: date(-3600) }))
isReused('5.2.2.10', 'MUST', 's-maxage wins over max-age', control('max-age=0, s-maxage=3600'))
isNotReused(
  '5.2.2.10',
  'MUST',
  's-maxage wins over max-age, also where it is shorter',
  control('max-age=3600, s-maxage=0'),
)
isNotReused('5.2.2.10', 'MUST', 's-maxage wins over Expires', control('s-maxage=0', { expires: date(3600) }))
isNotReused('4.2', 'MUST', 'max-age=0 is stale', control('max-age=0'))
isNotReused('4.2', 'MUST', 'an age beyond max-age is stale', control('max-age=60', { age: '61' }))
isNotReused('4.2', 'MUST', 'an age of max-age is stale', control('max-age=60', { age: '60' }))
isReused('4.2', 'SHOULD', 'an age below max-age is fresh', control('max-age=3600', { age: '60' }))
isNotReused('4.2.3', 'MUST', 'the age is told by Date, too', control('max-age=60', { date: date(-90) }))
isNotReused('4.2.3', 'MUST', 'the larger of both ages counts', control('max-age=60', { date: date(-90), age: '1' }))
isReused('4.2.3', 'SHOULD', 'a Date in the future is no age', control('max-age=3600', { date: date(600) }))
isNotReused('4.2.3', 'MUST', 'Expires counts from Date', { headers: { date: date(-7200), expires: date(-3600) } })
for (const value of ['-1', 'abc', '1.5']) {
  isReused('5.1', 'SHOULD', `Age: ${value} is no age`, control('max-age=3600', { age: value }))
}
isNotReused('5.1', 'SHOULD', 'of several ages the first counts', control('max-age=60', { age: '61, 5' }))
isReused('4.2.1', 'SHOULD', 'quoted seconds are understood', control('max-age="3600"'))
for (const value of [
  'max-age=abc',
  'max-age=-1',
  'max-age=',
  'max-age',
  'max-age=1.5',
  "max-age='3600'",
  'max-age=3600s',
]) {
  isNotReused('4.2.1', 'SHOULD', `${value} is stale`, control(value))
}
isReused('1.2.2', 'MUST', 'a number that is too large is a long time', control('max-age=99999999999'))
isReused('5.2', 'MUST', 'names of directives are read in any letters', control('MAX-AGE=3600'))
isReused('5.2', 'MUST', 'spaces and empty elements are skipped', control(' , max-age=3600 ,, '))
isReused(
  '5.2.3',
  'MUST',
  'directives that nobody knows are ignored',
  control('wonderful, max-age=3600, color="no-store, private"'),
)
isReused('5.2', 'MUST', 'a quoted comma is in the value', control('ext="a, no-store", max-age=3600'))
isNotReused('5.2', 'SHOULD', 'of a directive that is there twice the first counts', control('max-age=0, max-age=3600'))
isReused('4.2.2', 'MAY', 'a tenth of the time since the last change is a lifetime', {
  headers: { 'last-modified': date(-864_000) },
})
isNotReused('4.2.2', 'MUST', 'not where one is told', control('max-age=0', { 'last-modified': date(-864_000) }))
isNotReused('4.2.2', 'SHOULD', 'what changed just now is not guessed to be fresh', {
  headers: { 'last-modified': date(-1), age: '5' },
})
add(
  '5.1',
  'MUST',
  'a stored answer tells its age',
  asked(control(hour, { age: '100' })),
  again('cache', { sees: { age: /^10\d$/ } }),
)
add('5.1', 'MUST', 'also one that came without', asked(control(hour)), again('cache', { sees: { age: /^\d$/ } }))
add(
  '5.1',
  'MUST',
  'and one whose Date is older',
  asked(control(hour, { date: date(-200) })),
  again('cache', { sees: { age: /^20\d$/ } }),
)
add(
  '4',
  'MUST',
  'Date stays that of the origin',
  asked(control(hour, { date: date(-100) })),
  again('cache', { sees: { date: date(-100) } }),
)
add(
  'RFC 9110 6.6.1',
  'MUST',
  'an answer without Date is given one',
  asked(control(hour)),
  again('cache', { sees: { date: /GMT$/ } }),
)

// 4.2.4: stale.
for (const value of ['must-revalidate', 'proxy-revalidate', 's-maxage=1', 'no-cache']) {
  add(
    '4.2.4',
    'MUST',
    `${value}: not sent stale where the origin is away`,
    asked(control(`max-age=1, ${value}`, { age: '100', etag: '"a"' })),
    { origin: 'down', from: 'origin', status: 504, bodyIs: undefined as never },
  )
  add(
    '4.2.4',
    'MUST',
    `${value}: nor where the caller takes stale ones`,
    asked(control(`max-age=1, ${value}`, { age: '100' })),
    again('origin', { headers: { 'cache-control': 'max-stale' } }),
  )
  add(
    '5861 3',
    'MUST',
    `${value}: nor by stale-while-revalidate`,
    asked(control(`max-age=1, ${value}, stale-while-revalidate=3600`, { age: '100' })),
    again('origin'),
  )
  add(
    '5861 4',
    'MUST',
    `${value}: nor by stale-if-error`,
    asked(control(`max-age=1, ${value}, stale-if-error=3600`, { age: '100' })),
    { origin: { status: 503, body: 'away' }, from: 'origin', status: 503 },
  )
}
add('4.2.4', 'MAY', 'a stale answer is sent where the origin is away', asked(control('max-age=1', { age: '100' })), {
  origin: 'down',
  from: 'cache',
  sees: { age: /^10\d$/ },
})
add(
  '5861 4',
  'SHOULD',
  'stale-if-error: sent where the origin fails',
  asked(control('max-age=1, stale-if-error=3600', { age: '100' })),
  { origin: { status: 500, body: 'away' }, from: 'cache', status: 200 },
)
for (const status of [502, 503, 504]) {
  add(
    '5861 4',
    'SHOULD',
    `stale-if-error: sent for a ${status}`,
    asked(control('max-age=1, stale-if-error=3600', { age: '100' })),
    { origin: { status, body: 'away' }, from: 'cache', status: 200 },
  )
}
add('5861 4', 'MUST', 'not sent for a 404', asked(control('max-age=1, stale-if-error=3600', { age: '100' })), {
  origin: { status: 404, body: 'gone' },
  from: 'origin',
  status: 404,
})
add('5861 4', 'MUST', 'not sent after that time', asked(control('max-age=1, stale-if-error=60', { age: '100' })), {
  origin: { status: 503, body: 'away' },
  from: 'origin',
  status: 503,
})
add('5861 4', 'MUST', 'not sent without it', asked(control('max-age=1', { age: '100' })), {
  origin: { status: 503, body: 'away' },
  from: 'origin',
  status: 503,
})
add('5861 4', 'SHOULD', 'the caller may ask for it', asked(control('max-age=1', { age: '100' })), {
  headers: { 'cache-control': 'stale-if-error=3600' },
  origin: { status: 503 },
  from: 'cache',
  status: 200,
})
add(
  '5861 3',
  'SHOULD',
  'stale-while-revalidate: sent at once',
  asked(control('max-age=1, stale-while-revalidate=3600', { age: '100' })),
  again('cache'),
)
add(
  '5861 3',
  'MUST',
  'not sent after that time',
  asked(control('max-age=1, stale-while-revalidate=60', { age: '100' })),
  again('origin'),
)
add(
  '5861 3',
  'MUST',
  'not sent to who wants to be sure',
  asked(control('max-age=1, stale-while-revalidate=3600', { age: '100' })),
  again('origin', { headers: { 'cache-control': 'no-cache' } }),
)

// 4.3: validation.
const stale = (more: CaseHeaders): OriginAnswer => ({
  ...control('max-age=1', { age: '100', ...more }),
  body: 'stored',
})
const unchanged = (more: CaseHeaders = {}): OriginAnswer => ({
  status: 304,
  headers: { 'cache-control': hour, ...more },
})
add('4.3.1', 'MUST', 'the tag is sent to validate', asked(stale({ etag: '"a"' })), {
  origin: unchanged({ etag: '"a"' }),
  status: 200,
  bodyIs: 'stored',
  asks: { 'if-none-match': '"a"' },
})
add('4.3.1', 'MUST', 'a weak tag, too', asked(stale({ etag: 'W/"a"' })), {
  origin: unchanged({ etag: 'W/"a"' }),
  status: 200,
  bodyIs: 'stored',
  asks: { 'if-none-match': 'W/"a"' },
})
add('4.3.1', 'SHOULD', 'the last change is sent to validate', asked(stale({ 'last-modified': date(-864_000) })), {
  origin: unchanged({ 'last-modified': date(-864_000) }),
  status: 200,
  bodyIs: 'stored',
  asks: { 'if-modified-since': date(-864_000) },
})
add('4.3.1', 'SHOULD', 'both are sent', asked(stale({ etag: '"a"', 'last-modified': date(-864_000) })), {
  origin: unchanged({ etag: '"a"' }),
  status: 200,
  bodyIs: 'stored',
  asks: { 'if-none-match': '"a"', 'if-modified-since': date(-864_000) },
})
add(
  '4.3.1',
  'MUST',
  'nothing is sent where there is nothing',
  asked(stale({})),
  again('origin', { asks: { 'if-none-match': null, 'if-modified-since': null } }),
)
add(
  '4.3.3',
  'MUST',
  'a whole answer replaces the stored one',
  asked(stale({ etag: '"a"' })),
  asked({ ...control(hour, { etag: '"b"' }), body: 'new' }),
  again('cache', { bodyIs: 'new' }),
)
add('4.3.3', 'MUST', 'a 5xx is handed on', asked(stale({ etag: '"a"' })), {
  origin: { status: 500, body: 'no' },
  from: 'origin',
  status: 500,
})
add(
  '4.3.4',
  'MUST',
  'a 304 makes it fresh again',
  asked(stale({ etag: '"a"' })),
  { origin: unchanged({ etag: '"a"' }), status: 200, bodyIs: 'stored' },
  again('cache', { bodyIs: 'stored' }),
)
add(
  '4.3.4',
  'MUST',
  'its headers replace the stored ones',
  asked(stale({ etag: '"a"', 'x-count': '1' })),
  { origin: unchanged({ etag: '"a"', 'x-count': '2' }), status: 200, sees: { 'x-count': '2' }, bodyIs: 'stored' },
  again('cache', { bodyIs: 'stored', sees: { 'x-count': '2' } }),
)
add('4.3.4', 'MUST', 'others stay', asked(stale({ etag: '"a"', 'x-kept': '1' })), {
  origin: unchanged({ etag: '"a"' }),
  status: 200,
  sees: { 'x-kept': '1' },
  bodyIs: 'stored',
})
add('3.2', 'MUST', 'its length is not that of the body', asked(stale({ etag: '"a"' })), {
  origin: unchanged({ etag: '"a"' }),
  status: 200,
  bodyIs: 'stored',
  sees: { 'content-length': '6' },
})
add('3.2', 'SHOULD', 'its type is not that of the body', asked(stale({ etag: '"a"', 'content-type': 'text/x-old' })), {
  origin: unchanged({ etag: '"a"', 'content-type': 'text/x-new' }),
  status: 200,
  bodyIs: 'stored',
  sees: { 'content-type': 'text/x-old' },
})
add(
  '4.3.4',
  'MUST',
  'a 304 with another tag is not about it',
  asked(stale({ etag: '"a"' })),
  // The origin says the same when it is asked again without a condition: it is handed on as what it is.
  { origin: unchanged({ etag: '"other"' }), status: 304, bodyIs: '', sees: { etag: '"other"' } },
)
add('4.3.4', 'MUST', 'the age begins anew', asked(stale({ etag: '"a"' })), {
  origin: unchanged({ etag: '"a"' }),
  status: 200,
  bodyIs: 'stored',
  sees: { age: /^\d$/ },
})
add(
  '5.2.2.4',
  'MUST',
  'no-cache: asked each time',
  asked({ ...control('no-cache', { etag: '"a"' }), body: 'stored' }),
  {
    origin: { status: 304, headers: { 'cache-control': 'no-cache', etag: '"a"' } },
    status: 200,
    bodyIs: 'stored',
    asks: { 'if-none-match': '"a"' },
  },
  {
    origin: { status: 304, headers: { 'cache-control': 'no-cache', etag: '"a"' } },
    status: 200,
    bodyIs: 'stored',
    asks: { 'if-none-match': '"a"' },
  },
)
isNotReused('5.2.2.4', 'MUST', 'no-cache beside max-age', control('max-age=3600, no-cache'))
isNotReused('5.2.2.4', 'MUST', 'No-Cache in other letters', control('No-Cache, max-age=3600'))
add(
  '4.3.2',
  'SHOULD',
  'a caller who has it is told so',
  asked(control(hour, { etag: '"a"' })),
  again('cache', { headers: { 'if-none-match': '"a"' }, status: 304, bodyIs: '', sees: { etag: '"a"', age: /^\d+$/ } }),
)
add(
  '4.3.2',
  'SHOULD',
  'by the weak comparison',
  asked(control(hour, { etag: 'W/"a"' })),
  again('cache', { headers: { 'if-none-match': '"a"' }, status: 304, bodyIs: '' }),
)
add(
  '4.3.2',
  'SHOULD',
  'by any tag of a list',
  asked(control(hour, { etag: '"c"' })),
  again('cache', { headers: { 'if-none-match': '"a", W/"b", "c"' }, status: 304, bodyIs: '' }),
)
add(
  '4.3.2',
  'SHOULD',
  'by a star',
  asked(control(hour, { etag: '"c"' })),
  again('cache', { headers: { 'if-none-match': '*' }, status: 304, bodyIs: '' }),
)
add(
  '4.3.2',
  'MUST',
  'a caller who has another is sent it',
  asked(control(hour, { etag: '"a"' })),
  again('cache', { headers: { 'if-none-match': '"b"' }, status: 200 }),
)
add(
  '4.3.2',
  'SHOULD',
  'by the last change',
  asked(control(hour, { 'last-modified': date(-1000) })),
  again('cache', { headers: { 'if-modified-since': date(-1000) }, status: 304, bodyIs: '' }),
)
add(
  '4.3.2',
  'MUST',
  'it has changed since',
  asked(control(hour, { 'last-modified': date(-1000) })),
  again('cache', { headers: { 'if-modified-since': date(-2000) }, status: 200 }),
)
add(
  '4.3.2',
  'MUST',
  'the tag wins over the date',
  asked(control(hour, { etag: '"a"', 'last-modified': date(-1000) })),
  again('cache', { headers: { 'if-none-match': '"b"', 'if-modified-since': date(-500) }, status: 200 }),
)
add(
  '4.3.2',
  'MUST',
  'a date that is none is ignored',
  asked(control(hour, { 'last-modified': date(-1000) })),
  again('cache', { headers: { 'if-modified-since': 'yesterday' }, status: 200 }),
)
add(
  '4.3.2',
  'SHOULD',
  "If-Match is the origin's to judge",
  asked(control(hour, { etag: '"a"' })),
  again('origin', { headers: { 'if-match': '"b"' }, asks: { 'if-match': '"b"' } }),
)
add('4.3.2', 'MUST', "a caller's condition for what is not stored goes to the origin as it is", {
  headers: { 'if-none-match': '"z"' },
  origin: { status: 304, headers: { etag: '"z"' } },
  status: 304,
  asks: { 'if-none-match': '"z"' },
  bodyIs: '',
})
add('4.3.3', 'MUST', 'a caller who has the new one is told so after validation', asked(stale({ etag: '"a"' })), {
  headers: { 'if-none-match': '"a"' },
  origin: unchanged({ etag: '"a"' }),
  status: 304,
  bodyIs: '',
})
add(
  '4.3.5',
  'SHOULD',
  'a HEAD with other validators ends the stored answer',
  asked(control(hour, { etag: '"a"' })),
  {
    method: 'HEAD',
    headers: { 'cache-control': 'no-cache' },
    origin: { headers: { etag: '"b"', 'cache-control': hour } },
  },
  again('origin'),
)
add(
  '4',
  'SHOULD',
  'a HEAD is answered from what a GET brought',
  asked(control(hour)),
  again('cache', { method: 'HEAD', bodyIs: '' }),
)
add(
  '4',
  'MUST',
  'a GET is not answered from what a HEAD brought',
  asked(control(hour), { method: 'HEAD', bodyIs: '' }),
  again('origin'),
)

// 4.4: invalidation.
for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'] as const) {
  const body = method === 'DELETE' ? {} : { body: 'x' }
  add(
    '4.4',
    'MUST',
    `a ${method} that went well ends the stored answer`,
    asked(control(hour)),
    asked({ status: 200 }, { method, ...body }),
    again('origin'),
  )
  add(
    '4.4',
    'MUST',
    `a ${method} that was answered with a redirect, too`,
    asked(control(hour)),
    asked({ status: 303, headers: { location: '/elsewhere' } }, { method, ...body }),
    again('origin'),
  )
  add(
    '4.4',
    'SHOULD',
    `a ${method} that failed does not`,
    asked(control(hour)),
    asked({ status: 403 }, { method, ...body }),
    again('cache'),
  )
}
for (const name of ['location', 'content-location']) {
  add(
    '4.4',
    'SHOULD',
    `what ${name} names is ended, too`,
    asked(control(hour), { suffix: '/named' }),
    asked({ status: 201, headers: { [name]: '{path}/named' } }, { method: 'POST', body: 'x' }),
    again('origin', { suffix: '/named' }),
  )
  add(
    '4.4',
    'MUST',
    `what ${name} names at another origin is not`,
    asked(control(hour), { suffix: '/named' }),
    asked({ status: 201, headers: { [name]: 'http://other.test{path}/named' } }, { method: 'POST', body: 'x' }),
    again('cache', { suffix: '/named' }),
  )
}
add(
  '4.4',
  'MUST',
  'a GET ends nothing',
  asked(control(hour)),
  asked(control(hour), { suffix: '/other' }),
  again('cache'),
)

// 5.2.1: what a request says.
add(
  '5.2.1.1',
  'MUST',
  'max-age: nothing older',
  asked(control(hour, { age: '100' })),
  again('origin', { headers: { 'cache-control': 'max-age=50' } }),
)
add(
  '5.2.1.1',
  'SHOULD',
  'max-age: younger will do',
  asked(control(hour, { age: '10' })),
  again('cache', { headers: { 'cache-control': 'max-age=50' } }),
)
add(
  '5.2.1.1',
  'MUST',
  'max-age=0 asks the origin',
  asked(control(hour)),
  again('origin', { headers: { 'cache-control': 'max-age=0' } }),
)
add(
  '5.2.1.2',
  'SHOULD',
  'max-stale: any',
  asked(control('max-age=1', { age: '100' })),
  again('cache', { headers: { 'cache-control': 'max-stale' } }),
)
add(
  '5.2.1.2',
  'SHOULD',
  'max-stale: within it',
  asked(control('max-age=1', { age: '100' })),
  again('cache', { headers: { 'cache-control': 'max-stale=200' } }),
)
add(
  '5.2.1.2',
  'MUST',
  'max-stale: not beyond it',
  asked(control('max-age=1', { age: '100' })),
  again('origin', { headers: { 'cache-control': 'max-stale=50' } }),
)
add(
  '5.2.1.3',
  'MUST',
  'min-fresh: fresh for so long',
  asked(control('max-age=100', { age: '60' })),
  again('origin', { headers: { 'cache-control': 'min-fresh=50' } }),
)
add(
  '5.2.1.3',
  'SHOULD',
  'min-fresh: long enough',
  asked(control('max-age=100', { age: '10' })),
  again('cache', { headers: { 'cache-control': 'min-fresh=50' } }),
)
for (const value of ['no-cache', 'No-Cache', 'max-age=100, no-cache']) {
  add(
    '5.2.1.4',
    'MUST',
    `${value} asks the origin`,
    asked(control(hour)),
    again('origin', { headers: { 'cache-control': value } }),
  )
}
add('5.2.1.4', 'SHOULD', 'and validates', asked(control(hour, { etag: '"a"' })), {
  headers: { 'cache-control': 'no-cache' },
  origin: unchanged({ etag: '"a"' }),
  status: 200,
  asks: { 'if-none-match': '"a"' },
})
add(
  '5.2.1.7',
  'SHOULD',
  'only-if-cached: what is there',
  asked(control(hour)),
  again('cache', { headers: { 'cache-control': 'only-if-cached' } }),
)
add('5.2.1.7', 'SHOULD', 'only-if-cached: else 504, and nobody is asked', {
  headers: { 'cache-control': 'only-if-cached' },
  origin: control(hour),
  from: 'cache',
  status: 504,
  bodyIs: undefined as never,
})
add(
  '5.2.1.7',
  'SHOULD',
  'only-if-cached: nor what is stale',
  asked(control('max-age=1', { age: '100' })),
  again('cache', { headers: { 'cache-control': 'only-if-cached' }, status: 504, bodyIs: undefined as never }),
)
add(
  '5.4',
  'SHOULD',
  'Pragma: no-cache asks the origin',
  asked(control(hour)),
  again('origin', { headers: { pragma: 'no-cache' } }),
)
add(
  '5.4',
  'SHOULD',
  'not beside Cache-Control',
  asked(control(hour)),
  again('cache', { headers: { pragma: 'no-cache', 'cache-control': 'max-age=1000' } }),
)
isReused('5.4', 'SHOULD', 'in an answer Pragma means nothing', {
  headers: { pragma: 'no-cache', 'cache-control': hour },
})
isReused('5.5', 'SHOULD', 'Warning means nothing', control(hour, { warning: '110 - "stale"' }))
isReused('5.2.2.9', 'SHOULD', 'public with a lifetime', control('public, max-age=3600'))
isReused('5.2.2.2', 'SHOULD', 'must-revalidate while it is fresh', control('max-age=3600, must-revalidate'))
isReused('5.2.2.8', 'SHOULD', 'proxy-revalidate while it is fresh', control('max-age=3600, proxy-revalidate'))
isReused('5.2.2.6', 'SHOULD', 'no-transform is kept', control('max-age=3600, no-transform'))

// RFC 9213: for caches like this one.
isNotReused(
  '9213 2.1',
  'MUST',
  'CDN-Cache-Control wins over Cache-Control',
  control(hour, { 'cdn-cache-control': 'max-age=0' }),
)
isReused('9213 2.1', 'MUST', 'also where it is longer', control('no-store', { 'cdn-cache-control': hour }))
isNotReused('9213 2.1', 'MUST', 'and over Expires', {
  headers: { expires: date(3600), 'cdn-cache-control': 'no-store' },
})
isReused(
  '9213 2.1',
  'MUST',
  'what is no structured field is as if it were not there',
  control(hour, { 'cdn-cache-control': 'no-store, =' }),
)
isReused('9213 2.1', 'MUST', 'nor an empty one', control(hour, { 'cdn-cache-control': '' }))

export { cases }
