// The log of `fw run` on standard error: lines for people on a terminal, JSON lines anywhere else.
import { destination, pino } from 'pino'
import { z } from 'zod'
import type { Logger } from '../logger.js'
import { oneLine } from './table.js'

/** Level info, or what FW_LOG_LEVEL says. */
export function commandLogger(): Logger {
  const options = { name: 'fw', level: process.env['FW_LOG_LEVEL'] ?? 'info' }
  if (!process.stderr.isTTY) return pino(options, destination({ dest: 2, sync: true }))
  return pino(options, { write: (line: string) => process.stderr.write(`${readable(line)}\n`) })
}

const Line = z.looseObject({ time: z.number(), level: z.number(), msg: z.string().default(''), err: z.looseObject({ message: z.string() }).optional() })

/** What every line has, or what its text says already. */
const LEFT_OUT = new Set(['time', 'level', 'msg', 'err', 'name', 'pid', 'hostname'])

/** A line of pino as people read it: time of day, what happened, and the fields. */
export function readable(line: string): string {
  const { time, level, msg, err, ...rest } = Line.parse(JSON.parse(line))
  const fields = Object.entries(rest)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const severity = level >= 50 ? 'ERROR ' : level >= 40 ? 'WARN  ' : ''
  const what = [`${severity}${msg}${err === undefined ? '' : `: ${err.message}`}`, ...fields].join('  ')
  return `${new Date(time).toTimeString().slice(0, 8)}  ${oneLine(what, 1000)}`
}
