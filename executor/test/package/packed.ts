// The package as a user installs it: packed, and unpacked in a project of its own beside the packages that it depends on.
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { temporaryFolder } from '../support/temporary-folder.js'

const run = promisify(execFile)

export const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))
const Manifest = z.object({ dependencies: z.record(z.string(), z.string()).default({}) })

export interface Ran {
  code: number
  output: string
}

/** Runs a program to its end; its output is both streams. */
export async function runIn(cwd: string, program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  try {
    const { stdout, stderr } = await run(program, args, { cwd, env: { ...process.env, NODE_OPTIONS: '', ...env } })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = z.object({ code: z.union([z.number(), z.string()]), stdout: z.string(), stderr: z.string() }).parse(error)
    return { code: typeof code === 'number' ? code : 1, output: stdout + stderr }
  }
}

/** A program of a package that is installed here. */
export const tool = (name: string): string => join(PACKAGE, 'node_modules', '.bin', name)

/** Packs a folder of the package; returns the tarball's path. */
export async function pack(folder: string, into: string, scripts: boolean): Promise<string> {
  const { code, output } = await runIn(folder, 'npm', ['pack', '--silent', '--pack-destination', into, ...(scripts ? [] : ['--ignore-scripts'])])
  const name = (await readdir(into)).find((file) => file.endsWith('.tgz'))
  if (code !== 0 || name === undefined) throw new Error(`npm pack failed:\n${output}`)
  return join(into, name)
}

/**
 * A project that has the packed package installed, with what it depends on and nothing else.
 * @param files of the project, by path
 * @param more packages that the project has itself
 */
export async function consumer(files: Readonly<Record<string, string>>, more: readonly string[] = []): Promise<string> {
  const project = await temporaryFolder()
  const installed = join(project, 'node_modules', 'durable-execution-worker')
  await mkdir(installed, { recursive: true })
  await runIn(project, 'tar', ['-xzf', await pack(PACKAGE, project, false), '--strip-components=1', '-C', installed])
  for (const name of await needed(more)) {
    const link = join(project, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(PACKAGE, 'node_modules', name), link)
  }
  for (const [path, content] of Object.entries(files)) await writeFile(join(project, path), content)
  return project
}

/** What the package and these depend on, and so on. */
async function needed(more: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>()
  const add = async (folder: string) => {
    const { dependencies } = Manifest.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')))
    for (const name of Object.keys(dependencies)) {
      if (found.has(name)) continue
      found.add(name)
      await add(join(PACKAGE, 'node_modules', name))
    }
  }
  await add(PACKAGE)
  for (const name of more) {
    found.add(name)
    await add(join(PACKAGE, 'node_modules', name))
  }
  return found
}
