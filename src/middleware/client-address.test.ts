import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { placeOf } from '../domain/place.ts'
import { clientAddress } from './client-address.ts'
import type { AppContext } from './request-context.ts'

const from = (remoteAddress: string | undefined, forwarded?: string) =>
  ({ env: { remoteAddress, headers: { 'x-forwarded-for': forwarded } } }) as unknown as AppContext

describe('the place of an address', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    [' 203.0.113.7 ', '203.0.113.7'],
    ['203.0.113.7:5678', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::9]:443', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::9]', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:1::', '2001:db8:0:0::/64'],
  ])('%s is %s', (address, place) => expect(placeOf(address)).toBe(place))

  test.each([
    '',
    'unknown',
    '_hidden',
    '256.1.1.1',
    '1.2.3',
    '1.2.3.4.5',
    ':::',
    '2001:db8',
    'g::1',
    '1.2.3.4,',
    'a'.repeat(5_000),
  ])('there is none of "%.20s"', (address) => expect(placeOf(address)).toBeUndefined())

  test('is the same for all addresses of a /64, and for no two of different ones', () => {
    const group = fc.integer({ min: 0, max: 0xffff })
    const groups = (length: number) => fc.array(group, { minLength: length, maxLength: length })
    const write = (all: number[]) => all.map((each) => each.toString(16)).join(':')
    fc.assert(
      fc.property(groups(4), groups(4), groups(4), groups(4), (net, a, b, otherNet) => {
        expect(placeOf(write([...net, ...a]))).toBe(placeOf(write([...net, ...b])))
        fc.pre(write(net) !== write(otherNet))
        expect(placeOf(write([...net, ...a]))).not.toBe(placeOf(write([...otherNet, ...a])))
      }),
    )
  })
})

describe("the caller's address", () => {
  test("is the socket's where no proxy is trusted, whatever the caller says", () => {
    expect(clientAddress(from('198.51.100.1', '203.0.113.7'), 0)).toBe('198.51.100.1')
  })

  test.each([
    [1, '6.6.6.6, 203.0.113.7', '203.0.113.7'],
    [2, '6.6.6.6, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    [1, '203.0.113.7', '203.0.113.7'],
  ])('is %i from the right of %s', (hops, forwarded, address) => {
    expect(clientAddress(from('10.0.0.1', forwarded), hops)).toBe(address)
  })

  test.each([
    [1, undefined],
    [1, ''],
    [1, '203.0.113.7, nonsense'],
    [3, '203.0.113.7, 10.0.0.2'],
  ])("is the socket's where %i proxies should have said it and said %s", (hops, forwarded) => {
    expect(clientAddress(from('10.0.0.1', forwarded), hops)).toBe('10.0.0.1')
  })

  test('is one that all share where the runtime does not know it', () => {
    expect(clientAddress(from(undefined), 0)).toBe('unknown')
  })

  test('cannot be chosen by a caller behind one trusted proxy', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (said) => {
        expect(clientAddress(from('10.0.0.1', `${said}, 203.0.113.7`), 1)).toBe('203.0.113.7')
      }),
    )
  })
})
