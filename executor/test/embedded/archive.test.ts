import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readTarGz } from '../../src/embedded/archive.js'

function entry(path: string, content: string, type = '0'): Buffer {
  const header = Buffer.alloc(512)
  header.write(path, 0)
  header.write(Buffer.byteLength(content).toString(8).padStart(11, '0'), 124)
  header.write(type, 156)
  header.write('ustar', 257)
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512)
  body.write(content)
  return Buffer.concat([header, body])
}

function archive(...entries: Buffer[]): Buffer {
  return gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]))
}

function read(bytes: Buffer): [string, string][] {
  return [...readTarGz(bytes)].map(({ path, content }) => [path, content.toString()])
}

describe('readTarGz', () => {
  it('yields files of any length, empty ones too, and passes over folders', () => {
    const long = 'x'.repeat(1025)
    const bytes = archive(entry('a/', '', '5'), entry('a/empty', ''), entry('a/long', long), entry('b', 'é'))
    expect(read(bytes)).toEqual([['a/empty', ''], ['a/long', long], ['b', 'é']])
  })

  it.each(['../out', 'a/../../out', '/etc/out', 'a\\..\\out'])('refuses the path %s', (path) => {
    expect(() => read(archive(entry(path, 'x')))).toThrow(/unsafe path/)
  })

  it('refuses an archive that is cut off', () => {
    expect(() => read(gzipSync(entry('a', 'x'.repeat(2000)).subarray(0, 1024)))).toThrow(/damaged/)
  })
})
