import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { executorDatabase } from '../support/executor.js'
import { consumer, PACKAGE, runIn } from './packed.js'

const database = executorDatabase()
const JEST = join(PACKAGE, 'executor', 'test', 'support', 'jest')
let project = ''

const BODY = `
  const client = new Client({ connectionString: process.env.DATABASE_URL, onWarning: () => undefined })
  const id = await client.enqueue('under jest', { n: 1 }, { organizationId: '22222222-2222-4222-8222-222222222222' })
  expect(await client.get(id)).toMatchObject({ id, status: 'queued', input: { n: 1 } })
  expect(await client.cancel(id)).toBe(true)
  await expect(client.result(id)).rejects.toMatchObject({ name: 'ExecutionFailedError', status: 'cancelled' })
  await client.close()
`

beforeAll(async () => {
  if (!existsSync(join(JEST, 'node_modules', '.package-lock.json'))) {
    const { code, output } = await runIn(JEST, 'npm', ['ci', '--loglevel=error'])
    if (code !== 0) throw new Error(`Jest could not be installed:\n${output}`)
  }
  project = await consumer({
    'package.json': '{"private": true, "jest": {"testMatch": ["**/*.test.?(m)js"]}}',
    'required.test.js': `const { Client } = require('durable-execution-worker/client')\ntest('works', async () => {${BODY}})`,
    'imported.test.mjs': `import { Client } from 'durable-execution-worker/client'\ntest('works', async () => {${BODY}})`,
  })
})

test.each([
  ['as it comes', 'required.test.js', ''],
  ['with modules', 'imported.test.mjs', '--experimental-vm-modules --no-warnings'],
])('durable-execution-worker/client works in Jest %s', async (_, file, options) => {
  const { code, output } = await runIn(project, process.execPath, [join(JEST, 'node_modules', 'jest', 'bin', 'jest.js'), '--rootDir', project, file], { DATABASE_URL: database.url, NODE_OPTIONS: options })
  expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('1 passed') as string })
})
