import { expect, test } from 'vitest'
import { storable } from './storable.ts'

test('a name that no database stores is made one that it does', () => {
  expect(storable('a\0b\ud800c')).toBe('a�b�c')
})
