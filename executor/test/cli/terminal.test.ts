import { describe, expect, it, test } from 'vitest'
import { readable } from '../../src/cli/log.js'
import { oneLine } from '../../src/cli/table.js'
import { printable, printableJson } from '../../src/printable.js'
import { testDatabase } from '../support/database.js'
import { claim, enqueue, executor, organization, report, reportFailures } from '../support/sql.js'
import { fw } from './fw.js'

const database = testDatabase()

/** Sets the title, in two ways; one of them comes together when a parser takes the middle out. Then C1, bidi, invisible ones and a tag. */
const EVIL = '\u001b\u001b[0m]0;owned\u0007 \u001b]0;owned\u001b\\ \u009b2J\u0090x\u009c \u202egpj.exe\u202c \u2066a\u2069 \u200b\u200e\u061c\ufeff \u2028 \u{e0041} \u007f\u0085\r\bend'
/** All that a terminal may not get, but for line feeds. */
const STEERS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\udb40/

describe('a text that is printed', () => {
  it('loses colours, and shows each other character that steers a terminal as its number', () => {
    expect(printable('\u001b[1;31mred\u001b[0m\tand\nblue')).toBe('red\tand\nblue')
    expect(printable('a\u001b]0;x\u0007\u009b2J\u202eb\u{e0041}')).toBe('a\\u001b]0;x\\u0007\\u009b2J\\u202eb\\udb40\\udc41')
    expect(printable('\ud800 é 日本 👩‍🚀')).toBe('\\ud800 é 日本 👩‍🚀')
  })

  it('has no sequence that came together when another was taken out', () => {
    for (const text of [EVIL, '\u001b\u001b[0m[2J', '\u001b[\u001b[0m2J', '\u001b\u001b\u001b[0m[0m]0;x\u0007', '\u001b[\u001b[\u001b[0m0m0m']) {
      expect(printable(text)).not.toMatch(STEERS)
      expect(oneLine(text, 1000)).not.toMatch(STEERS)
      expect(oneLine(text, 1000)).not.toContain('\n')
    }
  })

  it('is the same to a program when it is JSON', () => {
    const json = printableJson(JSON.stringify({ EVIL, [EVIL]: [EVIL] }))
    expect(json).not.toMatch(STEERS)
    expect(JSON.parse(json)).toEqual({ EVIL, [EVIL]: [EVIL] })
    expect(printableJson('"\u007f\u0080\u009f"')).toBe('"\\u007f\\u0080\\u009f"')
  })

  it('steers nothing when it is in a line of the log', () => {
    const line = readable(JSON.stringify({ time: 0, level: 50, msg: EVIL, [EVIL]: EVIL, executionId: EVIL, err: { message: EVIL, stack: `${EVIL}\n    at ${EVIL}` } }))
    expect(line.replaceAll('\n', '')).not.toMatch(STEERS)
  })
})

test('nothing that fw prints of what workflows, messages and executors say steers a terminal, and its JSON says the same as before', async () => {
  // Postgres keeps all of it but U+0000.
  const organizationId = await organization(database)
  const x = await executor(database, [EVIL, 'done'])
  await database.query('update public.fw_executors set name = $2 where id = $1', [x, EVIL])
  const [failed = '', waits = ''] = [...(await enqueue(database, EVIL, organizationId, 1)), ...(await enqueue(database, 'done', organizationId, 1))]
  const held = await claim(database, x)
  const ofFailed = held.filter((each) => each.execution_id === failed)
  await report(database, x, ofFailed.map((each) => ({ ...each, done: false, completed: [{ name: EVIL, index: 0, output: EVIL }] })))
  await reportFailures(database, x, ofFailed.map((each) => ({ ...each, error: `${EVIL}\n${EVIL}`, permanent: true, step: EVIL, stack: `${EVIL}\n    at ${EVIL}` })))
  await report(database, x, held.filter((each) => each.execution_id === waits).map((each) => ({ ...each, output: { EVIL } })))
  const [letter] = await database.query<{ dlq_msg_id: string }>('select dlq_msg_id from public.fw_workflow_executions where id = $1', [failed])

  const commands = [
    ['executions', 'result', failed],
    ['executions', 'result', failed, '--json'],
    ['executions', 'result', waits],
    ['executions', 'show', failed],
    ['executions', 'show', failed, '--json'],
    ['executions', 'show', waits],
    ['executions', 'list'],
    ['executions', 'list', '--json'],
    ['executions', 'continue', waits, '--from', EVIL],
    ['executions', 'cancel', failed, '--reason', EVIL],
    ['executions', EVIL],
    ['executions', 'list', `--${EVIL}`],
    ['dlq', 'list'],
    ['dlq', 'list', '--json'],
    ['status'],
    ['status', '--json'],
    ['health'],
    ['health', '--json'],
    ['enqueue', EVIL, '{}', '--organization', organizationId, '--wait', '1ms'],
    ['enqueue', 'done', `{"a": ${EVIL}}`, '--organization', organizationId],
    ['run', `/tmp/${EVIL}.js`],
  ]
  for (const command of commands) {
    const { stdout, stderr } = await fw(command, { url: database.url, env: { FW_DEBUG: '1' } })
    expect(stdout + stderr, command.join(' ')).not.toBe('')
    expect(stdout, command.join(' ')).not.toMatch(STEERS)
    // Stacks have no tabs, but commander's help may.
    expect(stderr.replaceAll('\t', ''), command.join(' ')).not.toMatch(STEERS)
  }
  const result = await fw(['executions', 'result', waits], { url: database.url })
  expect(JSON.parse(result.stdout)).toEqual({ EVIL })
  const shown = await fw(['executions', 'show', failed, '--json'], { url: database.url })
  expect(JSON.parse(shown.stdout)).toMatchObject({ workflow: EVIL, steps: [{ name: EVIL, output: EVIL }] })
  expect(letter).toBeDefined()
})
