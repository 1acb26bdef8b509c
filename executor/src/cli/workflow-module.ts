// Imports a module of the user's, JavaScript or TypeScript, and finds the workflows that it exports.
import { existsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { z } from 'zod'
import { isWorkflow, type Workflow } from '../workflow.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure, messageOf } from './failure.js'

const HOW_TO_EXPORT = `Export one, for example:
  import { workflow } from 'durable-execution-worker'
  import { z } from 'zod'
  export const hello = workflow({ name: 'hello', input: z.object({ name: z.string() }) }, async (ctx, { name }) =>
    ctx.step('greet', () => \`Hello, \${name}\`))`

/**
 * The workflows that the module exports, also within an exported array or object.
 * @param path relative to the working folder
 * @throws CommandFailure when it can't be imported, exports none, or two of one name
 */
export async function importWorkflows(path: string): Promise<Workflow[]> {
  const file = resolve(path)
  if (!existsSync(file) || statSync(file).isDirectory()) {
    throw new CommandFailure(EXIT.usage, `there is no module ${file}`, { hint: 'Pass the path of a .ts or .js file that exports workflows.' })
  }
  const url = pathToFileURL(file)
  if (/\.[cm]?tsx?$/.test(file)) await prepareTypeScript(url)
  let module: object
  try {
    module = (await import(url.href)) as object
  } catch (error) {
    throw new CommandFailure(EXIT.failed, `${file} can't be loaded: ${firstLines(messageOf(error))}`, { cause: error, ...hintFor(error) })
  }
  const found = workflowsIn(module)
  if (found.size === 0) {
    const names = Object.keys(module)
    throw new CommandFailure(EXIT.usage, `${file} exports no workflow (${names.length === 0 ? 'it exports nothing' : `only ${names.join(', ')}`})`, {
      hint: HOW_TO_EXPORT,
    })
  }
  refuseSameNames(found)
  return [...found.keys()]
}

/** Each workflow, with the export that it was found in first. */
function workflowsIn(module: object): Map<Workflow, string> {
  const found = new Map<Workflow, string>()
  const add = (value: unknown, where: string): void => {
    if (isWorkflow(value) && !found.has(value)) found.set(value, where)
  }
  for (const [name, value] of Object.entries(module) as [string, unknown][]) {
    add(value, name)
    if (typeof value !== 'object' || value === null || isWorkflow(value)) continue
    for (const [key, item] of Object.entries(value) as [string, unknown][]) {
      add(item, Array.isArray(value) ? `${name}[${key}]` : `${name}.${key}`)
    }
  }
  return found
}

function refuseSameNames(found: ReadonlyMap<Workflow, string>): void {
  const exports = new Map<string, string>()
  for (const [{ name }, where] of found) {
    const other = exports.get(name)
    if (other !== undefined) throw new CommandFailure(EXIT.usage, `two workflows are named '${name}': the exports ${other} and ${where}`)
    exports.set(name, where)
  }
}

const TsxPart = z.object({ import: z.object({ default: z.string() }) })
const TsxPackage = z.object({ exports: z.object({ './esm/api': TsxPart, './cjs/api': TsxPart }) })
const TsxApi = z.object({ register: z.custom<() => unknown>((value) => typeof value === 'function') })

/** From now on TypeScript can be imported: by Node itself where it strips types, else through tsx. */
async function prepareTypeScript(module: URL): Promise<void> {
  if (stripsTypes()) return
  const tsx = findTsx([module, import.meta.url])
  if (tsx === undefined) {
    throw new CommandFailure(EXIT.usage, `Node ${process.versions.node} needs tsx to run TypeScript, such as ${fileURLToPath(module)}`, {
      hint: 'Install it: npm install --save-dev tsx. Or use Node 22.18 or later, or pass compiled JavaScript.',
    })
  }
  const { exports } = TsxPackage.parse(JSON.parse(await readFile(tsx, 'utf8')))
  // For `import` and, where the package of the module is none of ES modules, for `require`.
  for (const part of [exports['./esm/api'], exports['./cjs/api']]) {
    const { register } = TsxApi.parse(await import(new URL(part.import.default, pathToFileURL(tsx)).href))
    register()
  }
}

function stripsTypes(): boolean {
  return 'typescript' in process.features && process.features.typescript !== false
}

/** The package.json of tsx, as one of these modules finds it. */
function findTsx(origins: readonly (string | URL)[]): string | undefined {
  for (const origin of origins) {
    try {
      return createRequire(origin).resolve('tsx/package.json')
    } catch {
      // Not there: try the next.
    }
  }
  return undefined
}

/** A message of several lines, such as a compiler's, in what matters of it. */
function firstLines(message: string): string {
  return message.split('\n').slice(0, 3).join('\n')
}

function hintFor(error: unknown): { hint?: string } {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  if (stripsTypes() && (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' || code === 'ERR_MODULE_NOT_FOUND')) {
    return { hint: "Node only strips types: imports must end in '.ts', and enums and the like won't do. Or install tsx and set NODE_OPTIONS='--import tsx'." }
  }
  const place = placeOf(error)
  return place === undefined ? {} : { hint: `at ${place}` }
}

/** The first place in the user's code that the stack names. */
function placeOf(error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  return stack
    .split('\n')
    .filter((line) => !line.includes('node:') && !line.includes('node_modules'))
    .map((line) => /((?:file:\/\/)?\/[^\s()]+:\d+)(?::\d+)?\)?$/.exec(line)?.[1])
    .find((place) => place !== undefined)
    ?.replace(/^file:\/\//, '')
}
