/** The header rules of W3C Trace Context as a table. Sections: www.w3.org/TR/trace-context-2. */
import { describe, expect, test } from 'vitest'
import { formatTraceparent, parseTraceparent, parseTracestate } from './trace-context.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'
const of = (flags: string, version = '00', more = '') => `${version}-${traceId}-${parentId}-${flags}${more}`

describe('traceparent (3.2)', () => {
  test.each([
    ['sampled', of('01'), { sampled: true, random: false }],
    ['not sampled', of('00'), { sampled: false, random: false }],
    ['random, not sampled', of('02'), { sampled: false, random: true }],
    ['both flags', of('03'), { sampled: true, random: true }],
    ['flags that are not known are passed over', of('fd'), { sampled: true, random: false }],
    ['a later version', of('01', 'cc'), { sampled: true, random: false }],
    [
      'a later version that says more',
      of('01', 'cc', '-what-the-future-will-be-like'),
      { sampled: true, random: false },
    ],
    ['a later version that ends in a dash', of('01', 'cc', '-'), { sampled: true, random: false }],
  ])('%s', (_, header, flags) => {
    expect(parseTraceparent(header)).toEqual({ traceId, parentId, ...flags })
  })

  test.each([
    ['none', undefined],
    ['empty', ''],
    ['version ff', of('01', 'ff')],
    ['a version of one digit', `0-${traceId}-${parentId}-01`],
    ['a version of three digits', `000-${traceId}-${parentId}-01`],
    ['a version that is not hexadecimal', of('01', '0g')],
    ['version 00 that says more', of('01', '00', '-more')],
    ['version 00 that ends in a dash', of('01', '00', '-')],
    ['a later version that says more without a dash', of('01', 'cc', '.more')],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${parentId}-01`],
    ['a parent id of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['a trace id that is too short', `00-${traceId.slice(1)}-${parentId}-01`],
    ['a trace id that is too long', `00-${traceId}0-${parentId}-01`],
    ['a parent id that is too short', `00-${traceId}-${parentId.slice(1)}-01`],
    ['a parent id that is too long', `00-${traceId}-${parentId}0-01`],
    ['flags of one digit', of('1')],
    ['flags of three digits', of('001')],
    ['flags that are not hexadecimal', of('.0')],
    ['upper case', of('01').toUpperCase()],
    ['one letter in upper case', `00-${traceId.replace('a', 'A')}-${parentId}-01`],
    ['two headers, which Node joins', `${of('01')}, ${of('00')}`],
    ['space around it', ` ${of('01')}`],
    ['other separators', of('01').replaceAll('-', '_')],
    ['a line break', `${of('01')}\n`],
    ['very long', of('01', 'cc', `.${'x'.repeat(10_000)}`)],
  ])('is refused: %s', (_, header) => {
    expect(parseTraceparent(header)).toBeUndefined()
  })

  test('goes out in the version that we speak, unknown flags as zero', () => {
    expect(formatTraceparent({ ...parseTraceparent(of('ff', 'cc', '-more'))!, parentId: '00f067aa0ba902b7' })).toBe(
      `00-${traceId}-00f067aa0ba902b7-03`,
    )
  })
})

describe('tracestate (3.3)', () => {
  const members = (count: number) => Array.from({ length: count }, (_, i) => `k${i}=v`).join(',')
  test.each([
    ['one member', 'rojo=00f067aa0ba902b7', 'rojo=00f067aa0ba902b7'],
    ['the order stays', 'congo=t61rcWkgMzE,rojo=1', 'congo=t61rcWkgMzE,rojo=1'],
    ['space around members is dropped', 'a=1 \t, \tb=2', 'a=1,b=2'],
    ['empty members are dropped', 'a=1,,b=2,', 'a=1,b=2'],
    ['several headers, which Node joins', 'a=1, b=2', 'a=1,b=2'],
    ['a tenant and a system', 'fw529a3039@dt=FfffffffA', 'fw529a3039@dt=FfffffffA'],
    ['a key that begins with a digit', '0key=1', '0key=1'],
    ['all signs that a key may have', 'a_-*/@z=1', 'a_-*/@z=1'],
    ['a value with an equals sign in it is not one', 'a=b=c', undefined],
    ['a value with spaces inside', 'a=b c', 'a=b c'],
    ['a key of 256', `${'k'.repeat(256)}=1`, `${'k'.repeat(256)}=1`],
    ['a key of 257', `${'k'.repeat(257)}=1`, undefined],
    ['a value of 256', `a=${'v'.repeat(256)}`, `a=${'v'.repeat(256)}`],
    ['a value of 257', `a=${'v'.repeat(257)}`, undefined],
    ['32 members', members(32), members(32)],
    ['33 members', members(33), undefined],
    ['the same key twice', 'a=1,a=2', undefined],
    ['upper case in a key', 'Foo=1', undefined],
    ['a key without a value', 'foo', undefined],
    ['an empty value', 'foo=', undefined],
    ['no key', '=1', undefined],
    ['control characters in a value', 'a=\x07', undefined],
    ['beyond ASCII', 'a=é', undefined],
    ['a space in a key', 'a b=1', undefined],
    ['only commas', ',,,', undefined],
    ['empty', '', undefined],
    ['none', undefined, undefined],
    ['far too long', `a=${'v'.repeat(10_000)}`, undefined],
  ])('%s', (_, header, handedOn) => {
    expect(parseTracestate(header)).toBe(handedOn)
  })

  test('of a list longer than 512 characters the long members go first, then the last ones', () => {
    const short = Array.from({ length: 20 }, (_, i) => `k${String(i).padStart(2, '0')}=${'v'.repeat(25)}`)
    const long = `long=${'v'.repeat(200)}`
    const handedOn = parseTracestate([long, ...short].join(','))
    expect(handedOn?.split(',')).toEqual(short.slice(0, 17))
    expect(handedOn!.length).toBeLessThanOrEqual(512)
  })
})
