import { expect, it } from 'vitest'
import { createRecorder } from './recording.ts'

const bounds = { max: 6, maxTogether: 10 }

it('gives back what was added, as text or as bytes', () => {
  const recording = createRecorder(bounds).begin()
  for (const piece of ['a', 'ß', 'cd']) recording.add(piece)
  expect(recording.text()).toBe('aßcd')
  expect(recording.bytes()).toEqual(new TextEncoder().encode('aßcd'))
})

it('has no text where there were bytes', () => {
  const recording = createRecorder(bounds).begin()
  recording.add('a')
  recording.add(new Uint8Array([0xff]))
  expect(recording.text()).toBeUndefined()
  expect(recording.bytes()).toEqual(new Uint8Array([0x61, 0xff]))
})

it('keeps nothing of what is longer than one may be', () => {
  const recording = createRecorder(bounds).begin()
  recording.add('123456')
  expect(recording.isOpen).toBe(true)
  recording.add('7')
  recording.add('')
  expect([recording.isOpen, recording.text(), recording.bytes()]).toEqual([false, undefined, undefined])
})

it('keeps nothing of what would be more than all may be, and gives room back', () => {
  const recorder = createRecorder(bounds)
  const [first, second] = [recorder.begin(), recorder.begin()]
  first.add('123456')
  second.add('12345')
  expect(second.isOpen).toBe(false)
  first.close()
  first.close()
  const [third, fourth] = [recorder.begin(), recorder.begin()]
  third.add('123456')
  fourth.add('1234')
  const fifth = recorder.begin()
  fifth.add('1')
  expect([third.isOpen, fourth.isOpen, fifth.isOpen]).toEqual([true, true, false])
})
