// The options of the command line.
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Mode } from './sizes.ts'

export interface Options {
  readonly mode: Mode
  readonly json: boolean
  /** Parts of names of systems and cases; none means all. */
  readonly only: readonly string[]
  readonly out: string
  readonly help: boolean
}

export const HELP = `Usage: npm run bench -- [options]

Measures the Durable Execution Worker beside its peers on one embedded Postgres.

  --quick        smaller sizes, two repetitions: a few minutes
  --smoke        tiny sizes, to see that the bench works; its figures mean nothing
  --json         JSON lines {"system","case","value","unit"} on standard output, and nothing else
  --only <part>  only systems or cases whose name contains this; repeatable (a system and a case: both must fit)
  --out <folder> where bench.json and bench.svg go (bench/results)
  --help

ABSURD_SQL names absurd's SQL file; without it absurd is left out.
`

/** @throws TypeError for options that there are not */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      out: { type: 'string', default: fileURLToPath(new URL('../results', import.meta.url)) },
      help: { type: 'boolean', default: false },
    },
  })
  const { quick, smoke, ...others } = values
  // Relative to where npm was called, not to the project.
  const out = resolve(process.env['INIT_CWD'] ?? '.', values.out)
  return { ...others, out, mode: smoke ? 'smoke' : quick ? 'quick' : 'full' }
}
