import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { until } from '../support/executor.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { fw } from './fw.js'

const database = testDatabase()
const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))

/** A project with the package, whose program `fw` npm finds. */
async function project(): Promise<string> {
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'node_modules', '.bin'), { recursive: true })
  await symlink(PACKAGE, join(folder, 'node_modules', 'durable-execution-worker'))
  await symlink(join(PACKAGE, 'node_modules', 'zod'), join(folder, 'node_modules', 'zod'))
  await writeFile(join(folder, 'package.json'), '{"private": true, "type": "module", "scripts": {"worker": "fw run workflows.js"}}')
  await writeFile(join(folder, 'workflows.js'), `
    import { workflow } from 'durable-execution-worker'
    import { z } from 'zod'
    export const nothing = workflow({ name: 'nothing', input: z.object({}) }, () => null)
  `)
  const program = join(folder, 'node_modules', '.bin', 'fw')
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${PACKAGE}executor/dist/cli/main.js' "$@"\n`)
  await chmod(program, 0o755)
  return folder
}

it.each([
  ['npx fw run', 'npx', ['fw', 'run', 'workflows.js']],
  ['npm run', 'npm', ['run', 'worker']],
])('SIGTERM to %s stops the executor in order, also when the shell between them passes nothing on', async (_, program, args) => {
  await database.query('delete from public.fw_executors')
  const started = spawn(program, args, { cwd: await project(), env: { ...process.env, DATABASE_URL: database.url }, stdio: ['ignore', 'ignore', 'pipe'] })
  let written = ''
  started.stderr.setEncoding('utf8').on('data', (text: string) => (written += text))
  await until('it is ready', () => written.includes('"msg":"ready"'))
  started.kill('SIGTERM')
  // Also what npm leaves behind has closed its output then.
  await once(started, 'close')
  expect(written).toContain('"msg":"stopping"')
  expect(await database.query('select stopped_at is not null as stopped from public.fw_executors')).toEqual([{ stopped: true }])
})

it('gives what runs less time than Kubernetes does', async () => {
  const { stdout } = await fw(['run', '--help'])
  const [, seconds] = /may take to finish\s+at\s+the\s+end\s+\(default: (\d+)s\)/.exec(stdout) ?? []
  expect(Number(seconds)).toBeGreaterThan(0)
  expect(Number(seconds)).toBeLessThan(30)
})
