import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { temporaryFolder } from '../support/temporary-folder.js'
import { fw, startFw, type Started } from './fw.js'

async function urlOf(started: Started): Promise<string> {
  const stdout = await started.untilWritten('stdout', '\n')
  return z.strictObject({ databaseUrl: z.string() }).parse(JSON.parse(stdout)).databaseUrl
}

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

it('starts a migrated Postgres, and with SIGTERM ends it and its data', async () => {
  const started = startFw(['dev', '--with-current', '--json'])
  const url = await urlOf(started)
  expect(await query(url, 'select current from public.fw_api_version()')).toEqual([{ current: 4 }])
  const [folder] = await query<{ data_directory: string }>(url, 'show data_directory')
  expect(await fw(['status'], { url })).toMatchObject({ code: 0 })
  started.kill('SIGTERM')
  const { code, stdout, stderr } = await started.finished
  expect(code).toBe(0)
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  expect(stderr).toContain('--data-dir <folder> keeps it')
  await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED')
  expect(existsSync(folder?.data_directory ?? '')).toBe(false)
})

it('says what to do next', async () => {
  const started = startFw(['dev', '--with-current'])
  await started.untilWritten('stderr', 'Ctrl-C stops it.')
  started.kill('SIGINT')
  const { code, stdout, stderr } = await started.finished
  expect(code).toBe(0)
  expect(stdout).toMatch(/^ {2}export DATABASE_URL=postgres:\/\/\S+\n$/)
  expect(stderr).toContain('fw run workflows.ts')
})

it('keeps the data and the port with --data-dir, and refuses a second one on it', async () => {
  const dataDir = join(await temporaryFolder(), 'data')
  const first = startFw(['dev', '--with-current', '--json', '--data-dir', dataDir])
  const url = await urlOf(first)
  await query(url, 'create table kept as select 1 as one')

  const second = await fw(['dev', '--data-dir', dataDir])
  expect(second).toMatchObject({ code: 3, stdout: '' })
  expect(second.stderr).toContain(`already runs on ${dataDir}`)

  first.kill('SIGTERM')
  const { code, stderr } = await first.finished
  expect(code).toBe(0)
  expect(stderr).toContain(`The data is kept in ${dataDir}`)

  const again = startFw(['dev', '--json', '--data-dir', dataDir])
  expect(await urlOf(again)).toBe(url)
  expect(await query(url, 'select one from kept')).toEqual([{ one: 1 }])
  again.kill('SIGTERM')
  expect((await again.finished).code).toBe(0)
})

it('names a port that is taken, and leaves nothing running', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = z.object({ port: z.number() }).parse(other.address())
  try {
    const { code, stdout, stderr } = await fw(['dev', '--port', String(port)])
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(new RegExp(`^error: port ${port} of 127.0.0.1 is taken\n.*another port`))
  } finally {
    other.close()
  }
})

it('ends a server that was only just starting when the signal came', async () => {
  const dataDir = join(await temporaryFolder(), 'data')
  const started = startFw(['dev', '--with-current', '--json', '--data-dir', dataDir])
  while (!existsSync(join(dataDir, 'PG_VERSION'))) await sleep(5)
  started.kill('SIGTERM')
  expect((await started.finished).code).toBe(0)
  expect(existsSync(join(dataDir, 'postmaster.pid'))).toBe(false)
})

it('ends with an error when its Postgres goes away', async () => {
  const dataDir = join(await temporaryFolder(), 'data')
  const started = startFw(['dev', '--with-current', '--json', '--data-dir', dataDir])
  await urlOf(started)
  const pid = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0])
  process.kill(pid, 'SIGINT')
  const { code, stderr } = await started.finished
  expect(code).toBe(3)
  expect(stderr).toContain(`Postgres (process ${pid}) ended by itself`)
})
