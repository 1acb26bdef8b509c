import { execFile } from 'node:child_process'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/temporary-folder.js'

const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))
const read = (path: string) => readFile(join(PACKAGE, path), 'utf8')

test('each variable that docker/compose.yaml reads stands in the README', async () => {
  const variables = [...(await read('docker/compose.yaml')).matchAll(/\$\{(\w+):?-/g)].map(([, name]) => name ?? '')
  expect(new Set(variables)).toEqual(new Set(['POSTGRES_PASSWORD', 'POSTGRES_PORT', 'FW_WORKFLOWS']))
  const readme = await read('README.md')
  for (const name of variables) expect(readme).toContain(name)
})

test('a package of pgmq that cannot be had is told with the reason of npm', async () => {
  const folder = await temporaryFolder()
  for (const file of ['package.json', 'package-lock.json']) await copyFile(join(PACKAGE, file), join(folder, file))
  const fetched = promisify(execFile)('sh', [join(PACKAGE, 'docker/postgres/fetch-pgmq.sh'), join(folder, 'pgmq')], {
    cwd: folder,
    // Nothing listens there.
    env: { ...process.env, NPM_CONFIG_REGISTRY: 'http://127.0.0.1:1', NPM_CONFIG_FETCH_RETRIES: '0', NPM_CONFIG_CACHE: join(folder, 'cache') },
  })
  await expect(fetched).rejects.toMatchObject({ stderr: expect.stringContaining('ECONNREFUSED') as string })
})
