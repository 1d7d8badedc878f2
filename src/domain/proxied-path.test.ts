import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseProxiedTarget } from './proxied-path.ts'

const route = '/api/v1/gpu/instances/0190-ab/proxy'

test.each([
  ['', '/'],
  ['/', '/'],
  ['?a=b', '/?a=b'],
  ['/a/../../b', '/a/../../b'],
  ['//169.254.169.254/..', '//169.254.169.254/..'],
  ['/..%2f..%2Fv1', '/..%2f..%2Fv1'],
  ['/@evil.example/', '/@evil.example/'],
  ['/http://evil.example/', '/http://evil.example/'],
  ['/\\evil', '/\\evil'],
  ['/#frag', '/#frag'],
])('%s leads to %s', (rest, path) => {
  expect(parseProxiedTarget(route + rest)).toEqual({ route, path })
  expect(parseProxiedTarget(`http://any.example:8080${route}${rest}`)).toEqual({ route, path })
})

test.each([
  '/api/v1/gpu/instances/a/proxyx',
  '/api/v1/gpu/instances/a/proxy#x',
  '/api/v1/gpu/instances//proxy/x',
  '/api/v1/gpu/instances/a/b/proxy/x',
  '/api/v1/gpu/instances/a/%70roxy/x',
  '/api/v1/gpu/instances/%2e%2e/proxy/x',
  '/api/v1/gpu/./instances/a/proxy/x',
  '//api/v1/gpu/instances/a/proxy/x',
  'ftp://x/api/v1/gpu/instances/a/proxy/x',
  '@x/api/v1/gpu/instances/a/proxy/x',
  '/v1/models',
  '*',
])('%s is not for an instance', (target) => {
  expect(parseProxiedTarget(target)).toBeUndefined()
})

test('whatever follows stays as it is, and is a path', () => {
  fc.assert(
    fc.property(fc.string(), (rest) => {
      const found = parseProxiedTarget(`${route}/${rest}`)
      expect(found).toEqual({ route, path: `/${rest}` })
    }),
  )
})
