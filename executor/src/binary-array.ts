// Arrays as Postgres takes them in its binary format: nothing is quoted here, and nothing parsed there but the values themselves.
//
// A header of five int4: dimensions (1), whether there are NULLs (0), the type of the elements, how many, the first subscript
// (1); then the length in bytes of each element, and the element. An empty array has a header of three, and no dimension.

/** Of the types of elements. */
const OID = { bool: 16, int4: 23, text: 25, uuid: 2950, jsonb: 3802 } as const

const HEADER = 20
/** Shorter texts are written one character after the other: a call into the runtime costs more. */
const SHORT = 48
const ASCII = 0x7f
const DASH = 0x2d
/** The format of jsonb on the wire, and the only one there is. */
const JSONB_VERSION = 1

/** The values, or none at all where each is undefined: for an argument that is NULL where it is shorter than others. */
export function optional<Value>(values: (Value | undefined)[]): (Value | undefined)[] {
  return values.every((value) => value === undefined) ? [] : values
}

/** @param values undefined is NULL, here and below */
export function boolArray(values: readonly (boolean | undefined)[]): Buffer {
  return ofSize(OID.bool, values, 1, (buffer, value, at) => {
    buffer[at] = value ? 1 : 0
  })
}

/** @param values integers of 32 bits */
export function intArray(values: readonly (number | undefined)[]): Buffer {
  return ofSize(OID.int4, values, 4, writeInt)
}

/** @param values uuids as Postgres writes them */
export function uuidArray(values: readonly string[]): Buffer {
  return ofSize(OID.uuid, values, 16, writeUuid)
}

export function textArray(values: readonly (string | undefined)[]): Buffer {
  return ofTexts(OID.text, values, undefined)
}

/** @param values JSON texts */
export function jsonbArray(values: readonly (string | undefined)[]): Buffer {
  return ofTexts(OID.jsonb, values, JSONB_VERSION)
}

function ofSize<Value>(oid: number, values: readonly (Value | undefined)[], size: number, write: (buffer: Buffer, value: Value, at: number) => void): Buffer {
  const buffer = begin(oid, values.length, values.length * (4 + size))
  let at = HEADER
  for (const value of values) {
    if (value === undefined) {
      at = writeNull(buffer, at)
      continue
    }
    writeInt(buffer, size, at)
    write(buffer, value, at + 4)
    at += 4 + size
  }
  return values.length === 0 ? buffer : buffer.subarray(0, at)
}

/** @param version a byte before each text, if any */
function ofTexts(oid: number, values: readonly (string | undefined)[], version: number | undefined): Buffer {
  const before = version === undefined ? 0 : 1
  let most = 0
  for (const value of values) most += 4 + (value === undefined ? 0 : before + (value.length <= SHORT ? 3 * value.length : Buffer.byteLength(value)))
  const buffer = begin(oid, values.length, most)
  if (values.length === 0) return buffer
  let at = HEADER
  for (const value of values) {
    if (value === undefined) {
      at = writeNull(buffer, at)
      continue
    }
    if (version !== undefined) buffer[at + 4] = version
    const size = before + writeText(buffer, value, at + 4 + before)
    writeInt(buffer, size, at)
    at += 4 + size
  }
  return buffer.subarray(0, at)
}

function begin(oid: number, length: number, size: number): Buffer {
  if (length === 0) {
    const empty = Buffer.alloc(12)
    writeInt(empty, oid, 8)
    return empty
  }
  const buffer = Buffer.allocUnsafe(HEADER + size)
  for (const [index, value] of [1, 0, oid, length, 1].entries()) writeInt(buffer, value, 4 * index)
  return buffer
}

/** A length of -1, and the flag of the header that there is one. Returns where the next element begins. */
function writeNull(buffer: Buffer, at: number): number {
  writeInt(buffer, 1, 4)
  writeInt(buffer, -1, at)
  return at + 4
}

/** Returns how many bytes were written. */
function writeText(buffer: Buffer, value: string, at: number): number {
  if (value.length > SHORT) return buffer.write(value, at)
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index)
    if (code > ASCII) return buffer.write(value, at)
    buffer[at + index] = code
  }
  return value.length
}

function writeUuid(buffer: Buffer, value: string, at: number): void {
  let to = at
  for (let index = 0; index < value.length; index += 2) {
    if (value.charCodeAt(index) === DASH) index++
    buffer[to++] = (digit(value.charCodeAt(index)) << 4) | digit(value.charCodeAt(index + 1))
  }
}

/** Of a hexadecimal digit in lower case. */
function digit(code: number): number {
  return code < 0x40 ? code - 0x30 : code - 0x57
}

function writeInt(buffer: Buffer, value: number, at: number): void {
  buffer[at] = value >>> 24
  buffer[at + 1] = value >>> 16
  buffer[at + 2] = value >>> 8
  buffer[at + 3] = value
}
