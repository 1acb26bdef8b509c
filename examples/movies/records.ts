// The records as they come, and the organization that each belongs to: its distributor.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { distributorOf } from './movie.js'

const Records = z.array(z.record(z.string(), z.unknown()))
type Record = z.infer<typeof Records>[number]

export interface Organization {
  id: string
  name: string
  records: Record[]
}

/** All records of movies.json, by organization. */
export async function readOrganizations(): Promise<Organization[]> {
  const file = new URL('../data/movies.json', import.meta.resolve('vega-datasets'))
  const organizations = new Map<string, Organization>()
  for (const record of Records.parse(JSON.parse(await readFile(file, 'utf8')))) {
    const name = distributorOf(record['Distributor']) ?? '(no distributor)'
    const organization = organizations.get(name) ?? { id: organizationId(name), name, records: [] }
    organization.records.push(record)
    organizations.set(name, organization)
  }
  return [...organizations.values()]
}

/** The same name gives the same uuid, in every run: version 8, out of a hash. */
export function organizationId(name: string): string {
  const bytes = createHash('sha256').update(`movies demo: ${name}`).digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
