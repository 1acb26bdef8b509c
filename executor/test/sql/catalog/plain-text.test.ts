import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { sqlFiles } from '../../../src/migrate/sql-files.js'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

test('every file of SQL is plain ASCII, so that databases of every encoding take it', async () => {
  const files = [...(await sqlFiles(root, 'sql')), ...(await sqlFiles(root, 'migrations'))]
  expect(files.length).toBeGreaterThan(100)
  const others: string[] = []
  for (const file of files) {
    if (/[^\t\n\x20-\x7e]/.test(await readFile(join(root, file), 'utf8'))) others.push(file)
  }
  expect(others).toEqual([])
})
