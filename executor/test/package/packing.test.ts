import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/temporary-folder.js'
import { pack, PACKAGE, runIn } from './packed.js'

test('a tarball that is packed in a clean clone holds the code, the SQL and the migrations, and no tests', async () => {
  const folder = await temporaryFolder()
  const clone = join(folder, 'clone')
  expect(await runIn(folder, 'git', ['clone', '--quiet', '--no-hardlinks', PACKAGE, clone])).toMatchObject({ code: 0 })
  // Instead of npm ci.
  await symlink(join(PACKAGE, 'node_modules'), join(clone, 'node_modules'))
  const { output } = await runIn(folder, 'tar', ['-tzf', await pack(clone, folder, true)])
  const files = output.split('\n')
  for (const file of [
    'executor/dist/index.js', 'executor/dist/index.d.ts', 'executor/dist/client-index.js', 'executor/dist/client-index.d.ts',
    'executor/dist/cjs/client-index.js', 'executor/dist/cjs/package.json', 'executor/dist/embedded/index.js', 'executor/dist/cli/main.js',
    'sql/functions/enqueue/fw_enqueue.sql', 'migrations/committed/000001-worker-tables-and-queues.sql',
  ]) expect(files).toContain(`package/${file}`)
  expect(files.filter((file) => file.includes('/test/') || file.endsWith('.test.ts'))).toEqual([])
})
