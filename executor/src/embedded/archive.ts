// Reads a .tar.gz without a tar program, so that it works on any machine with Node.
import { gunzipSync } from 'node:zlib'

const BLOCK = 512

export interface ArchiveFile {
  /** Relative, with forward slashes, never leading out of the folder it is unpacked to. */
  path: string
  content: Buffer
}

/** Yields the regular files of a gzipped ustar archive. */
export function* readTarGz(archive: Buffer): Generator<ArchiveFile> {
  const tar = gunzipSync(archive)
  let offset = 0
  while (offset + BLOCK <= tar.length && tar[offset] !== 0) {
    const header = tar.subarray(offset, offset + BLOCK)
    const size = Number.parseInt(text(header, 124, 12), 8)
    const type = text(header, 156, 1)
    const start = offset + BLOCK
    if (!Number.isSafeInteger(size) || start + size > tar.length) throw new Error(`damaged archive at byte ${offset}`)
    if (type === '' || type === '0') yield { path: safePath(header), content: tar.subarray(start, start + size) }
    offset = start + Math.ceil(size / BLOCK) * BLOCK
  }
}

function safePath(header: Buffer): string {
  const prefix = text(header, 257, 6) === 'ustar' ? text(header, 345, 155) : ''
  const path = prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`
  if (path === '' || path.startsWith('/') || path.includes('\\') || path.split('/').includes('..')) {
    throw new Error(`archive holds an unsafe path: ${path}`)
  }
  return path
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.toString('latin1', start, start + length)
  const end = field.indexOf('\0')
  return (end === -1 ? field : field.slice(0, end)).trim()
}
