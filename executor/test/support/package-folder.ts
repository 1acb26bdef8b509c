// Package folders with migrations and SQL of the test's own, to play versions of a package that don't exist.
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { temporaryFolder } from './temporary-folder.js'

/** Makes a folder with these committed migrations, in order, and these files (path below the package → content). */
export async function packageFolder(migrations: readonly string[], files: Readonly<Record<string, string>> = {}): Promise<string> {
  const root = await temporaryFolder()
  const committed = join(root, 'migrations', 'committed')
  await mkdir(committed, { recursive: true })
  let previous: string | undefined
  for (const [index, body] of migrations.entries()) {
    const hash = `sha1:${createHash('sha1').update(`${`${previous ?? ''}\n${body.trim()}`.trim()}\n`).digest('hex')}`
    const text = `--! Previous: ${previous ?? '-'}\n--! Hash: ${hash}\n\n${body.trim()}\n`
    await writeFile(join(committed, `${String(index + 1).padStart(6, '0')}.sql`), text)
    previous = hash
  }
  // A package without any function is none.
  const hasFunctions = Object.keys(files).some((path) => path.startsWith('sql/functions/'))
  const all = hasFunctions ? files : { ...files, 'sql/functions/clock/nothing.sql': 'select 1;' }
  for (const [path, content] of Object.entries(all)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
  return root
}
