// `fw health`: whether the worker is well, for people, and by its exit code for probes.
import type { Command } from 'commander'
import { z } from 'zod'
import { addDatabaseOption, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'
import { print, printJson } from './output.js'
import { counted, oneLine } from './table.js'

interface HealthOptions extends DatabaseOptions {
  executor?: string
  json?: boolean
}

const Subject = z.object({ subject: z.string(), isOk: z.boolean(), detail: z.string(), hint: z.string().nullable() })

const EXECUTOR = `select 'executor' as subject, count(*) > 0 as "isOk", format('%s alive of this name', count(*)) as detail, null as hint
  from public.fw_executors x
  where x.name = $1 and x.stopped_at is null and x.last_seen_at > now() - interval '30 seconds'`

/** Whether the database has heard from an executor of this name within 30 seconds. */
export async function isAlive(url: string, executor: string): Promise<boolean> {
  return await withDatabase(url, async (database) => (await database.row(Subject, EXECUTOR, [executor])).isOk, { setUp: false })
}

export function addHealthCommand(program: Command): void {
  addDatabaseOption(program.command('health'))
    .summary('whether all is well; exit code 1 when not')
    .description('Tells whether the worker is well: the tick and who runs it, executors, disabled organizations, workflows that nobody runs, a pause, dead letters.')
    .option('--executor <name>', 'ask only whether an executor of this name is alive, as a probe of its container does')
    .option('--json', 'print one JSON object a subject')
    .action(async (options: HealthOptions) => {
      const subjects = await withDatabase(databaseUrl(options), (database) =>
        options.executor === undefined
          ? database.rows(Subject, 'select subject, is_ok as "isOk", detail, hint from public.fw_health()')
          : database.rows(Subject, EXECUTOR, [options.executor]),
      )
      for (const each of subjects) {
        if (options.json === true) printJson(each)
        else print(`${each.isOk ? 'ok     ' : 'NOT OK '} ${each.subject}: ${oneLine(each.detail)}${each.hint === null ? '' : `\n        ${each.hint}`}`)
      }
      const wrong = subjects.filter(({ isOk }) => !isOk).length
      if (wrong > 0) throw new CommandFailure(EXIT.failed, `${counted(wrong, 'thing is', 'things are')} not as they should be`)
    })
}
