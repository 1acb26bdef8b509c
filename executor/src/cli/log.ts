// The log of `fw run` on standard error: lines for people on a terminal, JSON lines anywhere else.
import { pino } from 'pino'
import { z } from 'zod'
import { type Logger, standardError } from '../logger.js'
import { oneLine } from './table.js'

/** Level info, or what FW_LOG_LEVEL says. */
export function commandLogger(): Logger {
  const options = { name: 'fw', level: process.env['FW_LOG_LEVEL'] ?? 'info' }
  if (!process.stderr.isTTY) return pino(options, standardError())
  return pino(options, { write: (line: string) => process.stderr.write(`${readable(line)}\n`) })
}

const Line = z.looseObject({ time: z.number(), level: z.number(), msg: z.string().default(''), err: z.looseObject({ message: z.string(), stack: z.string().optional() }).optional() })

/** What every line has, or what its text says already. */
const LEFT_OUT = new Set(['time', 'level', 'msg', 'err', 'name', 'pid', 'hostname'])

const MOST_FRAMES = 8
const LONGEST_FIELD = 300

/** A line of pino as people read it: time of day, what happened, and the fields. Below it the stack, of what an execution has thrown. */
export function readable(line: string): string {
  const { time, level, msg, err, ...rest } = Line.parse(JSON.parse(line))
  const fields = Object.entries(rest)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `${name}=${oneLine(typeof value === 'string' ? value : JSON.stringify(value), LONGEST_FIELD)}`)
  const severity = level >= 50 ? 'ERROR ' : level >= 40 ? 'WARN  ' : ''
  const what = [`${severity}${msg}${err === undefined ? '' : `: ${oneLine(err.message, LONGEST_FIELD)}`}`, ...fields].join('  ')
  const first = `${new Date(time).toTimeString().slice(0, 8)}  ${oneLine(what, 1000)}`
  return [first, ...('executionId' in rest ? stackLines(err?.stack) : [])].join('\n')
}

/** Without what the runtime itself does, which says little. */
function stackLines(stack = ''): string[] {
  const lines = stack.split('\n').filter((line) => line.trim() !== '' && !line.includes('(node:internal') && !/^\s+at node:internal/.test(line))
  const shown = lines.slice(0, MOST_FRAMES).map((line) => `          ${/^\s+at /.test(line) ? '  ' : ''}${oneLine(line.trim(), 200)}`)
  return lines.length > MOST_FRAMES ? [...shown, '          …'] : shown
}
