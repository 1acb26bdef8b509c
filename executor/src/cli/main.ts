#!/usr/bin/env node
// The command line `fw`: its commands, its help, and how it ends.
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { addDevCommand } from './dev.js'
import { addDlqCommand } from './dlq.js'
import { addEnqueueCommand } from './enqueue.js'
import { EXIT, EXIT_HELP, type ExitCode } from './exit-codes.js'
import { explain, failureText } from './failure.js'
import { addEmitCommand, addExecutionsCommand } from './executions.js'
import { addHealthCommand } from './health.js'
import { addMigrateCommand } from './migrate.js'
import { EXAMPLE_ORGANIZATION, FW, note, print } from './output.js'
import { printable } from '../printable.js'
import { addRepairCommands } from './repair.js'
import { addRunCommand } from './run.js'
import { addSettingsCommands } from './settings.js'
import { addStatusCommand } from './status.js'

const FIRST_STEPS = [
  ['dev', 'starts a Postgres and prints the DATABASE_URL to export'],
  ['run workflows.ts', 'runs the workflows that this module exports'],
  ['enable <uuid>', 'lets the work of an organization start (any uuid)'],
  ["enqueue <workflow> '{}' --organization <uuid> --wait", ''],
] as const

const WELCOME = [
  'Durable workflows on Postgres. To try it:',
  ...FIRST_STEPS.map(([step, does], at) => `  ${at + 1}. ${`${FW} ${step}`.padEnd(24)}  ${does}`.trimEnd()),
  `\`${FW} status\` shows what happens, \`${FW} --help\` everything else.`,
].join('\n')

const EXAMPLES = `
Examples:
  $ ${FW} dev --data-dir .data
  $ export DATABASE_URL=postgres://postgres:secret@127.0.0.1:5432/postgres
  $ ${FW} run workflows.ts --migrate
  $ ${FW} enable ${EXAMPLE_ORGANIZATION} --batch-size 25
  $ ${FW} enqueue hello '{"name":"Ada"}' --organization ${EXAMPLE_ORGANIZATION} --wait 30s
  $ ${FW} status --check
  $ ${FW} health
  $ ${FW} dlq retry --all`

const ENVIRONMENT = `
Environment:
  DATABASE_URL  Postgres to work on; --database-url overrides it
  FW_LOG_LEVEL  log level of \`fw run\`: debug, info (default), warn, error
  FW_DEBUG=1    adds the stack to errors`

// A reader that has seen enough, such as head, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})
process.exitCode = await main()
// Something that a workflow module left open must not keep the process.
setTimeout(() => process.exit(), 1000).unref()

async function main(): Promise<ExitCode> {
  if (process.argv.length <= 2) {
    print(WELCOME)
    return EXIT.done
  }
  try {
    await program().parseAsync()
    return EXIT.done
  } catch (error) {
    // Help, version or an error that commander has printed.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
    const explanation = explain(error)
    note(failureText(error, explanation))
    return explanation.exitCode
  }
}

function program(): Command {
  const command = new Command('fw')
    .description('Durable, multi-tenant workflow executions on Postgres.')
    .version(version())
    .addHelpText('after', `${EXAMPLES}\n${ENVIRONMENT}\n${EXIT_HELP}`)
    .configureOutput({
      writeOut: (text) => process.stdout.write(printable(text)),
      writeErr: (text) => process.stderr.write(printable(text)),
    })
    .showHelpAfterError('(--help after the command explains it)')
    .exitOverride()
  addDevCommand(command)
  addMigrateCommand(command)
  addRunCommand(command)
  addEnqueueCommand(command)
  addSettingsCommands(command)
  addStatusCommand(command)
  addExecutionsCommand(command)
  addEmitCommand(command)
  addHealthCommand(command)
  addDlqCommand(command)
  addRepairCommands(command)
  return command
}

function version(): string {
  // From the folder of this file in dist and in src alike.
  const file = new URL('../../../package.json', import.meta.url)
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version
}
