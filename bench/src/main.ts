// Entry of the bench: runs the plan on one server, prints as it goes, and writes the table, the JSON and the chart.
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { type Description } from './cases/spec.ts'
import { HELP, type Options, readOptions } from './options.ts'
import { type Group, plan, type Titles } from './plan.ts'
import { chart } from './report/chart.ts'
import { isReached, type Ratio, ratios } from './report/ratios.ts'
import type { Result } from './report/result.ts'
import { table } from './report/table.ts'
import { Runner } from './run.ts'
import { startServer } from './server.ts'
import { systemNames } from './systems/system.ts'

const began = performance.now()
const say = (line: string) => {
  process.stderr.write(`[${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s] ${line}\n`)
}

try {
  process.exitCode = await main(readOptions(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function main(options: Options): Promise<number> {
  if (options.help) {
    process.stdout.write(HELP)
    return 0
  }
  const server = await startServer()
  const runner = new Runner(server, say)
  const aborting = new AbortController()
  aborting.signal.addEventListener('abort', () => {
    runner.abort()
  })
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => aborting.abort())
  try {
    const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`
    say(machine)
    say(server.about)
    const systems: Description[] = []
    const leftOut: string[] = []
    for (const each of await runner.describe()) {
      if (aborting.signal.aborted) return 130
      if (each.missing === undefined && 'version' in each) systems.push(each)
      else leftOut.push(`${each.name} is left out: ${each.missing ?? 'unknown reason'}`)
    }
    const about = systems.map(({ name, version, settings }) => `${name} ${version}: ${settings}`)
    for (const line of [...about, ...leftOut]) say(line)

    const { groups, titles } = plan(options.mode, systems)
    const results: Result[] = []
    const toRun = chosen(groups, options.only)
    if (toRun.length === 0) throw new Error(`nothing here is called ${options.only.join(' and ')}`)
    for (const group of toRun) {
      const found = await runner.run(group)
      if (aborting.signal.aborted) return 130
      results.push(...found)
      if (options.json) for (const each of found) printJson(each)
    }
    const compared = ratios(results, titles)
    report(options, titles, results, compared)
    await mkdir(options.out, { recursive: true })
    const written = { mode: options.mode, machine, server: server.about, systems, leftOut, results, ratios: compared.map(marked) }
    await writeFile(join(options.out, 'bench.json'), `${JSON.stringify(written, null, 2)}\n`)
    await writeFile(join(options.out, 'bench.svg'), chart(results, titles))
    say(`written: ${join(options.out, 'bench.json')}, ${join(options.out, 'bench.svg')}`)
    if (!options.json) for (const line of leftOut) process.stdout.write(`\n${line}\n`)
    return results.some(({ value }) => value === null) ? 1 : 0
  } finally {
    await server.stop()
  }
}

function report(options: Options, titles: Titles, results: readonly Result[], compared: readonly Ratio[]): void {
  if (!options.json) {
    const note = options.mode === 'smoke' ? 'of far too small runs: they mean nothing' : 'medians of this run'
    process.stdout.write(`${table(results, compared, note)}\n`)
    return
  }
  for (const { title, value, unit } of compared) {
    process.stdout.write(`${JSON.stringify({ system: systemNames[0], case: `ratio: ${title}`, value, unit })}\n`)
  }
}

/** A case without a value says why. */
function printJson({ system, case: title, value, unit, error }: Result): void {
  process.stdout.write(`${JSON.stringify({ system, case: title, value, unit, ...(error === undefined ? {} : { error }) })}\n`)
}

function marked(ratio: Ratio): Ratio & { reached: boolean | null } {
  return { ...ratio, reached: isReached(ratio) ?? null }
}

/** Of the names, some are of systems and the others of cases; a task must fit one of either kind that is there. */
function chosen(groups: readonly Group[], only: readonly string[]): Group[] {
  const isSystem = (part: string) => systemNames.some((name) => name.includes(part))
  const systems = only.filter(isSystem)
  const cases = only.filter((part) => !isSystem(part))
  const fits = (text: string, parts: readonly string[]) => parts.length === 0 || parts.some((part) => text.includes(part))
  const chosenTasks = groups.map((group) => ({
    ...group,
    tasks: group.tasks.filter(({ spec }) => fits(spec.system, systems) && fits(`${group.name}: ${spec.title}`, cases)),
  }))
  // What is chosen may start from a database that another task keeps.
  const needed = new Set(chosenTasks.flatMap(({ tasks }) => tasks.flatMap(({ from }) => from ?? [])))
  return groups
    .map((group, place) => ({
      ...group,
      tasks: group.tasks.filter((task) => chosenTasks[place]?.tasks.includes(task) === true || (task.keep !== undefined && needed.has(task.keep))),
    }))
    .filter(({ tasks }) => tasks.length > 0)
}
