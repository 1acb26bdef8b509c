import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { fw } from './fw.js'

const database = testDatabase()
const ORGANIZATION = '3f0d7c1e-90a5-4c1b-8a54-8f9f5a0f7a11'

describe('fw without a command', () => {
  it('says what to do next', async () => {
    const { code, stdout, stderr } = await fw([])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    const steps = ['fw dev', 'fw run', 'fw enable', 'fw enqueue', 'fw --help'].map((step) => stdout.indexOf(step))
    expect(steps).not.toContain(-1)
    expect(steps).toEqual(steps.toSorted((a, b) => a - b))
  })

  it('names the program as npx starts it', async () => {
    expect((await fw([], { env: { npm_command: 'exec' } })).stdout).toContain('npx fw run')
  })

  it('explains commands, examples and exit codes with --help', async () => {
    const { code, stdout } = await fw(['--help'])
    expect(code).toBe(0)
    for (const command of ['dev', 'migrate', 'run', 'enqueue', 'enable', 'disable', 'status', 'dlq']) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
    expect(stdout).toContain('Examples:')
    expect(stdout).toMatch(/Exit codes:\n {2}0 {2}done\n {2}1 .*\n {2}2 .*\n {2}3 /)
  })

  it('prints the version of the package with --version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
    expect(await fw(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })
})

describe('wrong usage', () => {
  it.each([
    [['statsu'], "unknown command 'statsu'"],
    [['status', '--jsno'], "unknown option '--jsno'"],
    [['enqueue', 'greet', '--organization', ORGANIZATION], "missing required argument 'input'"],
    [['enqueue', 'greet', '{}'], "required option '--organization <uuid>' not specified"],
    [['enqueue', 'greet', '{}', '--organization', 'acme'], 'not a uuid'],
    [['enqueue', 'greet', '{}', '--organization', ORGANIZATION, '--delay', 'soon'], 'not a duration'],
    [['enqueue', 'greet', '{}', '--organization', ORGANIZATION, '--delay', '-1m'], 'not a duration'],
    [['enqueue', 'greet', '{}', '--organization', ORGANIZATION, '--wait', '30'], 'no unit; write it as 30ms, 30s or 30m'],
    [['enable', '123'], 'not a uuid'],
    [['enable', ORGANIZATION, '--batch-size', 'many'], 'not a whole number'],
    [['run', 'x.js', '--concurrency', '0'], 'not a whole number from 1'],
    [['status', '--runs', '1.5'], 'not a whole number'],
    [['dlq', 'retry', 'first'], 'not the number of a message'],
    [['dlq', 'retry', '9223372036854775808'], 'not the number of a message'],
    [['dlq', 'retry'], 'Name their numbers, or pass --all'],
    [['dlq', 'retry', '1', '--all'], 'Name their numbers, or pass --all'],
    [['dlq', 'retry', '1', '--organization', ORGANIZATION], '--organization goes with --all'],
    [['dlq', 'purge'], "required option '--older-than <interval>' not specified"],
    [['dlq'], 'Usage: fw dlq'],
    [['dev', '--port', '70000'], 'not a whole number from 1 to 65535'],
  ])('fw %j: %s', async (args, message) => {
    const { code, stdout, stderr } = await fw(args, { url: database.url })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})

describe('the database', () => {
  it.each([['migrate'], ['run', 'x.js'], ['enqueue', 'greet', '{}', '--organization', ORGANIZATION], ['enable', ORGANIZATION], ['status'], ['dlq', 'list']])(
    'is asked for by fw %s',
    async (...args) => {
      const { code, stderr } = await fw(args)
      expect(code).toBe(2)
      expect(stderr).toContain('DATABASE_URL is not set')
      expect(stderr).toContain('fw dev')
    },
  )

  it('is the one of --database-url rather than DATABASE_URL', async () => {
    const { code, stdout } = await fw(['status', '--database-url', database.url], { url: 'postgres://nobody@127.0.0.1:1/none' })
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('Organizations') as string })
  })

  it.each(['mysql://u:s3cret@h/d', 'postgres://u:s3#cret@127.0.0.1:1/d'])('that is no URL of a Postgres is wrong usage, and is not shown: %s', async (url) => {
    const { code, stderr } = await fw(['status'], { url })
    expect(code).toBe(2)
    expect(stderr).toContain('postgres://user:password@host:5432/name')
    expect(stderr).not.toContain('cret')
  })

  it('that does not answer is named with its port', async () => {
    const { code, stdout, stderr } = await fw(['status'], { url: 'postgres://u:s3cret@127.0.0.1:1/d' })
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toContain('no Postgres answers at 127.0.0.1:1\n')
    expect(stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(2)
    expect(stderr).not.toContain('s3cret')
  })

  it('that does not answer is named also where its host has several addresses', async () => {
    const { code, stderr } = await fw(['status'], { url: 'postgres://u@localhost:1/d' })
    expect(code).toBe(3)
    expect(stderr).toMatch(/no Postgres answers at (127\.0\.0\.1|::1):1\n/)
  })

  it('on a host that is not there', async () => {
    const { code, stderr } = await fw(['status'], { url: 'postgres://u@nowhere.invalid/d' })
    expect(code).toBe(3)
    expect(stderr).toContain("no host 'nowhere.invalid'")
  })

  it('that does not exist', async () => {
    const { code, stderr } = await fw(['status'], { url: elsewhere({ pathname: '/fw_no_such_database' }) })
    expect(code).toBe(3)
    expect(stderr).toContain('"fw_no_such_database" does not exist')
  })

  it('that refuses the password', async () => {
    const { code, stderr } = await fw(['status'], { url: elsewhere({ password: 'wrong' }) })
    expect(code).toBe(3)
    expect(stderr).toContain('password authentication failed')
  })

  it('adds the stack to an error with FW_DEBUG=1', async () => {
    const { stderr } = await fw(['status'], { url: 'postgres://u@127.0.0.1:1/d', env: { FW_DEBUG: '1' } })
    expect(stderr).toMatch(/^\s+at /m)
  })
})

function elsewhere(change: { pathname?: string; password?: string }): string {
  const url = new URL(database.url)
  Object.assign(url, change)
  return url.href
}
