// How the columns of our own queries become values. A program may set parsers and defaults for all of pg, and so does many a
// library; neither changes what our queries give.
import type pg from 'pg'

type Parse = (value: string) => unknown
type ParseBinary = (value: Buffer) => unknown

const OID = {
  bool: 16, int8: 20, int2: 21, int4: 23, oid: 26, json: 114, float4: 700, float8: 701,
  intArray: 1007, textArray: 1009, varcharArray: 1015, timestamptz: 1184, uuid: 2950, uuidArray: 2951, jsonb: 3802,
} as const

/** `2026-01-31 10:00:00.123456+01`, the only style in which our connections ask for times. */
const TIME = /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(\.\d{1,6})?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?$/

const number: Parse = (value) => Number(value)
const json: Parse = (value) => JSON.parse(value) as unknown

const TEXT = new Map<number, Parse>([
  [OID.bool, (value) => value === 't'],
  [OID.int2, number],
  [OID.int4, number],
  [OID.oid, number],
  [OID.float4, number],
  [OID.float8, number],
  [OID.json, json],
  [OID.jsonb, json],
  [OID.timestamptz, parseTime],
  [OID.intArray, (value) => parseArray(value).map((item) => (item === null ? null : Number(item)))],
  [OID.textArray, parseArray],
  [OID.varcharArray, parseArray],
  [OID.uuidArray, parseArray],
])

/** What a pool of the caller's may ask for. */
const BINARY = new Map<number, ParseBinary>([
  [OID.bool, (value) => value[0] === 1],
  [OID.int2, (value) => value.readInt16BE()],
  [OID.int4, (value) => value.readInt32BE()],
  [OID.int8, (value) => value.readBigInt64BE().toString()],
  [OID.float4, (value) => value.readFloatBE()],
  [OID.float8, (value) => value.readDoubleBE()],
  [OID.json, (value) => JSON.parse(value.toString()) as unknown],
  // The first byte is the version of the format.
  [OID.jsonb, (value) => JSON.parse(value.toString('utf8', 1)) as unknown],
  [OID.uuid, (value) => value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')],
])

const asText = (value: string | Buffer): string => value.toString()

/**
 * Parsers for the option `types` of a connection or of a query: booleans, numbers (int8 and numeric stay texts), JSON, times and
 * one-dimensional arrays; everything else is text.
 */
export const COLUMN_TYPES = {
  getTypeParser: (oid: number, format?: string): Parse | ParseBinary => (format === 'binary' ? BINARY : TEXT).get(oid) ?? asText,
} as pg.CustomTypesConfig

function parseTime(value: string): Date | number {
  const parts = TIME.exec(value)
  if (parts === null) {
    if (value === 'infinity') return Infinity
    if (value === '-infinity') return -Infinity
    throw new Error(`the database sent the time ${JSON.stringify(value)}, which is not in the style ISO`)
  }
  const [, year, month, day, hour, minute, second, fraction = '.0', sign, hours, minutes = '0', seconds = '0', bc = ''] = parts
  const time = new Date(0)
  time.setUTCFullYear(bc === '' ? Number(year) : 1 - Number(year), Number(month) - 1, Number(day))
  time.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.slice(1, 4).padEnd(3, '0')))
  const offset = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)
  return new Date(time.getTime() - (sign === '-' ? -offset : offset) * 1000)
}

/** One dimension: `{a,NULL,"b c","say \"hi\""}`. */
function parseArray(value: string): (string | null)[] {
  const items: (string | null)[] = []
  for (const [, quoted, bare] of value.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/g)) {
    if (quoted !== undefined) items.push(quoted.replace(/\\(.)/g, '$1'))
    else items.push(bare === undefined || bare === 'NULL' ? null : bare)
  }
  return items
}
