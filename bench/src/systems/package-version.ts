// The version of a package that is installed beside the bench, for the table.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Version of the installed package `name`; throws where it isn't installed. */
export function packageVersion(name: string): string {
  const file = join(import.meta.dirname, '../../node_modules', name, 'package.json')
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version)
  throw new Error(`${file} names no version`)
}
