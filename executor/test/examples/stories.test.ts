import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** What `npm run example:<name>` prints, without the installing before it. */
async function story(name: string): Promise<string[]> {
  const child = spawn(process.execPath, ['--import', 'tsx', `examples/${name}/main.ts`], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  expect(child.exitCode, `${out}\n${err}`).toBe(0)
  return out.trimEnd().split('\n')
}

test('the order that cannot be shipped is undone, the last step first; the others are done', async () => {
  const lines = await story('order-saga')
  const third = lines.filter((line) => line.startsWith('A3:'))
  expect(third).toEqual([
    'A3: reserve one unicorn',
    'A3: charge 99 cents',
    'A3: pay back the receipt of A3',
    'A3: give back the reservation of A3',
  ])
  expect(lines).toContain('A1 is done: receipt of A1')
  expect(lines).toContain('A2: ship the kettle')
  expect(lines.find((line) => line.startsWith('A3 is off'))).toContain('nobody ships unicorns; compensated: charge, reserve')
  expect(lines.at(-1)).toBe('In the database, the steps of A3: reserve compensated, charge compensated, ship failed')
})

test('an expense is approved, refused, or given up when nobody answers', async () => {
  const lines = await story('approval')
  expect(lines.slice(-3)).toEqual(['train ticket: approved by Ada', 'golden pen: refused by Bob', 'coffee: refused, because nobody answered in time'])
})

test('a child runs for each record, and their results are put together', async () => {
  const lines = await story('fan-out')
  expect(lines.at(-1)).toMatch(/^406 children of 406 records/)
  // Of 406 cars, 398 say how far they go.
  const counts = lines.slice(0, -1).map((line) => Number(/: (\d+) cars/.exec(line)?.[1]))
  expect(counts.reduce((sum, each) => sum + each, 0)).toBe(398)
  expect(lines[0]).toMatch(/^(USA|Europe|Japan): \d+ cars, \d+(\.\d)? litres/)
})
