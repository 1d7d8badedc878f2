import fc from 'fast-check'
import { expect, test } from 'vitest'
import { headersForCaller, headersForMachine } from './instance-headers.ts'

const route = '/api/v1/gpu/instances/i/proxy'
const cookies = (...set: string[]) => headersForCaller({ 'set-cookie': set }, route)['set-cookie']

test.each([
  ['a=1', `a=1; Path=${route}/`],
  ['a=1; path=/x/y ; Secure', `a=1; Secure; Path=${route}/x/y`],
  ['a=1; Path=relative', `a=1; Path=${route}/`],
  ['a=1; Path=/one; Path=/two', `a=1; Path=${route}/two`],
  ['a=1; Domain=.example.com; Domain; SameSite=Lax', `a=1; SameSite=Lax; Path=${route}/`],
  ['a=path=/x', `a=path=/x; Path=${route}/`],
])('the cookie %s becomes %s', (from, to) => expect(cookies(from)).toEqual([to]))

test.each([
  'gpuproxy=1',
  '=gpuproxy_session=1',
  ' = gpuproxy_session=1',
  'gpuproxy_session=1',
  ' GPUPROXY-x=1',
  '__Host-gpuproxy=1',
  '__secure-gpuproxy_a=1',
])('the cookie %s is not set, and not sent', (own) => {
  expect(cookies(own, 'b=2')).toEqual([`b=2; Path=${route}/`])
  expect(headersForMachine({ cookie: `a=1; ${own}; b=2` })).toEqual({ cookie: 'a=1; b=2' })
  expect(headersForMachine({ cookie: own })).toEqual({})
})

const credential = 'ak_live_canarycanarycanarycanary0001'

test('no header but the one that is for it carries a credential of the gateway to a machine', () => {
  const name = fc.constantFrom(
    'authorization',
    'x-api-key',
    'x-gpuproxy-port',
    'x-gpuproxy-priority',
    'connection',
    'te',
  )
  const others = fc.dictionary(fc.stringMatching(/^x-[a-z]{1,8}$/), fc.stringMatching(/^[ -~]{0,20}$/))
  fc.assert(
    fc.property(name, others, (name, others) => {
      const sent = headersForMachine({ ...others, [name]: `Bearer ${credential}` })
      expect(JSON.stringify(sent)).not.toContain(credential)
    }),
  )
})

test('who the caller is, and what stands before the gateway, is not told', () => {
  const told = [
    'for',
    'host',
    'proto',
    'port',
    'scheme',
    'server',
    'prefix',
    'user',
    'email',
    'client-cert',
    'access-token',
  ]
  const headers = Object.fromEntries(told.map((name) => [`x-forwarded-${name}`, 'canary']))
  const clients = ['x-real-ip', 'x-original-forwarded-for', 'x-client-ip', 'true-client-ip', 'cf-connecting-ip']
  const others = Object.fromEntries(['forwarded', 'via', ...clients].map((name) => [name, 'canary']))
  expect(headersForMachine({ ...headers, ...others, 'x-forward': 'its own' })).toEqual({ 'x-forward': 'its own' })
})

test('Connection can name away what is the caller’s, and not bring back what is kept', () => {
  const headers = {
    connection: 'close, Content-Type ,authorization',
    'content-type': 'a',
    authorization: credential,
    b: 'c',
  }
  expect(headersForMachine(headers)).toEqual({ b: 'c' })
})

test('what is for the machine’s own lock goes on under its own name', () => {
  expect(headersForMachine({ authorization: credential, 'x-gpuproxy-authorization': 'Bearer its' })).toEqual({
    authorization: 'Bearer its',
  })
})

test.each([
  ['public, max-age=3600', 'private, max-age=3600'],
  ['Public, S-MaxAge=60, must-revalidate', 'private'],
  ['no-store', 'private, no-store'],
  ['private="set-cookie, x", max-age=60, immutable', 'private, max-age=60, immutable'],
  ['s-max-age=60, max-age=-1, max-age=x', 'private'],
  ['', 'private'],
])('what a machine lets caches keep is for its owner’s alone: %j becomes %j', (from, to) => {
  const shared = { 'surrogate-control': 'max-age=60', 'cdn-cache-control': 'a', 'cloudflare-cdn-cache-control': 'a' }
  const { 'cache-control': kept, ...others } = headersForCaller({ 'cache-control': from, ...shared }, route)
  expect(kept).toBe(to)
  expect(Object.keys(others).filter((name) => /control/.test(name))).toEqual([])
})
