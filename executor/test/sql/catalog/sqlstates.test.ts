import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const SQL = fileURLToPath(new URL('../../../../sql/', import.meta.url))

/** Caught by the function that raises it, which begins again: nobody else sees it. */
const INTERNAL = 'FW009'

/** What each function says with a SQLSTATE of ours, without the values in it. */
async function raised(): Promise<Map<string, Set<string>>> {
  const said = new Map<string, Set<string>>()
  for (const file of (await readdir(join(SQL, 'functions'), { recursive: true })).filter((name) => name.endsWith('.sql'))) {
    const text = await readFile(join(SQL, 'functions', file), 'utf8')
    for (const [, state = '', message = ''] of text.matchAll(/errcode = '(FW\d{3})',\s*message = (?:format\()?'([^']*)/g)) {
      said.set(state, (said.get(state) ?? new Set<string>()).add(message))
    }
  }
  return said
}

test('each SQLSTATE of ours means one thing, and stands in the list', async () => {
  const said = await raised()
  expect(Object.fromEntries([...said].filter(([state]) => state !== INTERNAL).map(([state, messages]) => [state, [...messages].sort()]))).toEqual({
    FW001: ['batch %s has lost its lease on execution %s'],
    FW002: ['executor %s is not registered, or has stopped'],
    FW003: ['there is no dead letter %s'],
    FW004: [
      // All of them: its state does not allow it.
      'execution %s has recorded step %L already',
      'execution %s is %s and has no deadline to extend',
      'execution %s is %s, so it cannot go on from another step',
      'execution %s of dead letter %s is %s, so there is nothing to retry',
    ],
    FW005: ['there is no execution %s'],
    FW006: ['execution %s has no step %L'],
    FW007: ['there is no job %L in fw_jobs'],
  })
  const listed = [...(await readFile(join(SQL, 'README.md'), 'utf8')).matchAll(/^\| `(FW\d{3})` \|/gm)].map(([, state]) => state)
  expect(listed).toEqual([...said.keys()].filter((state) => state !== INTERNAL).sort())
})
