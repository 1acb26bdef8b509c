// What can be said on the command line.
import { parseArgs } from 'node:util'

export const HELP = `npm start -- [options]

Imports the 3,201 records of vega-datasets' movies.json, an execution each, on a Postgres of its own.

  --keep                keep the database, in .fw/movies
  --data-dir <folder>   keep the database in this folder
  --database-url <url>  use this database instead: migrates it, and adds the schema demo (needs pgmq)
  --json                print the numbers as one JSON object, as the last line
  --help                print this
`

export interface Options {
  help: boolean
  json: boolean
  /** Where the database is kept; undefined: nowhere. */
  dataDir: string | undefined
  databaseUrl: string | undefined
}

/** @throws Error for what cannot be understood */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      keep: { type: 'boolean', default: false },
      'data-dir': { type: 'string' },
      'database-url': { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { 'data-dir': dataDir, 'database-url': databaseUrl } = values
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(databaseUrl)) {
    throw new Error('--database-url needs a URL such as postgres://user:password@host/database')
  }
  if (databaseUrl !== undefined && (values.keep || dataDir !== undefined)) {
    throw new Error('--database-url goes without --keep and --data-dir: that database is kept by whoever runs it')
  }
  if (dataDir === '') throw new Error('--data-dir needs a folder')
  return { help: values.help, json: values.json, dataDir: dataDir ?? (values.keep ? '.fw/movies' : undefined), databaseUrl }
}
