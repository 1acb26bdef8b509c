import { existsSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../src/embedded/index.js'
import { testedBinaries, testedMajor } from '../support/postgres/binaries.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const running: EmbeddedPostgres[] = []

async function start(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ ...testedBinaries(), ...options, settings: { shared_buffers: '32MB', ...options.settings } })
  running.push(server)
  return server
}

async function ask(databaseUrl: string, text: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ answer: unknown }>(text)
    return rows[0]?.answer
  } finally {
    await client.end()
  }
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()))
})

describe('a server without a data folder', () => {
  it(`runs Postgres ${testedMajor()} with fsync on, UTF-8, UTC, and on 127.0.0.1 only`, async () => {
    const { databaseUrl } = await start()
    expect(await ask(databaseUrl, "select current_setting('server_version_num')::int / 10000 as answer")).toBe(testedMajor())
    expect(await ask(databaseUrl, "select current_setting('fsync') as answer")).toBe('on')
    expect(await ask(databaseUrl, "select current_setting('server_encoding') as answer")).toBe('UTF8')
    expect(await ask(databaseUrl, "select current_setting('timezone') as answer")).toBe('UTC')
    expect(await ask(databaseUrl, "select current_setting('listen_addresses') as answer")).toBe('127.0.0.1')
    expect(await ask(databaseUrl, "select current_setting('unix_socket_directories') as answer")).toBe('')
  })

  it('loads pgmq and its queues work', async () => {
    const { databaseUrl } = await start()
    await ask(databaseUrl, 'create extension pgmq')
    await ask(databaseUrl, "select pgmq.create('letters')")
    expect(await ask(databaseUrl, `select pgmq.send('letters', '{"n": 1}') as answer`)).toBe('1')
    expect(await ask(databaseUrl, "select message as answer from pgmq.read('letters', 30, 1)")).toEqual({ n: 1 })
  })

  it('does not offer pgmq when told not to', async () => {
    const { databaseUrl } = await start({ extensions: false })
    await expect(ask(databaseUrl, 'create extension pgmq')).rejects.toThrow(/pgmq/)
  })

  it('takes settings over its defaults', async () => {
    const { databaseUrl } = await start({ settings: { max_connections: '33' } })
    expect(await ask(databaseUrl, "select current_setting('max_connections') as answer")).toBe('33')
  })

  it('refuses a wrong password', async () => {
    const url = new URL((await start()).databaseUrl)
    url.password = 'wrong'
    await expect(ask(url.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
  })

  it('is gone after stop, its folder too, and may be stopped again', async () => {
    const server = await start()
    await server.stop()
    await server.stop()
    expect(existsSync(server.dataDir)).toBe(false)
    await expect(ask(server.databaseUrl, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('tells the log of a server that does not start', async () => {
    await expect(start({ settings: { max_connections: 'plenty' } })).rejects.toMatchObject({
      code: 'EMBEDDED_START_FAILED',
      message: expect.stringContaining('max_connections') as unknown,
    })
  })

  it('says that a given port is taken', async () => {
    const first = await start()
    await expect(start({ port: first.port })).rejects.toMatchObject({
      code: 'EMBEDDED_START_FAILED',
      message: expect.stringContaining('Address already in use') as unknown,
    })
  })
})

describe('a server with a data folder', () => {
  it('starts again on its data, at the same URL', async () => {
    const dataDir = join(await temporaryFolder(), 'below', 'data')
    const first = await start({ dataDir })
    await ask(first.databaseUrl, 'create table kept as select 42 as answer')
    await first.stop()
    const second = await start({ dataDir })
    expect(second.databaseUrl).toBe(first.databaseUrl)
    expect(await ask(second.databaseUrl, 'select answer from kept')).toBe(42)
  })

  it('takes another port when the one it had is taken', async () => {
    const dataDir = join(await temporaryFolder(), 'data')
    const first = await start({ dataDir })
    await first.stop()
    const other = await start({ port: first.port })
    const second = await start({ dataDir })
    expect(second.port).not.toBe(other.port)
    expect(new URL(second.databaseUrl).password).toBe(new URL(first.databaseUrl).password)
    expect(await ask(second.databaseUrl, 'select 1 as answer')).toBe(1)
  })

  it('comes back after its server was killed', async () => {
    const dataDir = join(await temporaryFolder(), 'data')
    const first = await start({ dataDir })
    await ask(first.databaseUrl, 'create table kept as select 42 as answer')
    process.kill(first.pid, 'SIGQUIT')
    await first.stop()
    const second = await start({ dataDir })
    expect(await ask(second.databaseUrl, 'select answer from kept')).toBe(42)
  })

  it('refuses a folder that a live server holds, and names its process', async () => {
    const dataDir = join(await temporaryFolder(), 'data')
    const first = await start({ dataDir })
    await expect(start({ dataDir })).rejects.toMatchObject({
      code: 'EMBEDDED_DATA_DIR_BUSY',
      pid: first.pid,
      message: expect.stringContaining(String(first.pid)) as unknown,
    })
    expect(await ask(first.databaseUrl, 'select 1 as answer')).toBe(1)
  })

  it('is not kept from starting by the pid file of a process that is no Postgres', async () => {
    const dataDir = join(await temporaryFolder(), 'data')
    await (await start({ dataDir })).stop()
    await writeFile(join(dataDir, 'postmaster.pid'), `${process.pid}\n`)
    const second = await start({ dataDir })
    expect(await ask(second.databaseUrl, 'select 1 as answer')).toBe(1)
  })

  it('keeps its password where only the owner reads it', async () => {
    const dataDir = join(await temporaryFolder(), 'data')
    await start({ dataDir })
    expect((await stat(join(dataDir, 'fw-connection.json'))).mode & 0o777).toBe(0o600)
    expect((await stat(dataDir)).mode & 0o077).toBe(0)
  })

  it('leaves a folder alone that holds something else', async () => {
    const dataDir = await temporaryFolder()
    await writeFile(join(dataDir, 'notes.txt'), 'mine')
    await expect(start({ dataDir })).rejects.toMatchObject({ code: 'EMBEDDED_DATA_DIR_UNUSABLE' })
    expect(await readFile(join(dataDir, 'notes.txt'), 'utf8')).toBe('mine')
  })

  it('leaves the database of another version of Postgres alone', async () => {
    const dataDir = await temporaryFolder()
    await writeFile(join(dataDir, 'PG_VERSION'), '9.6\n')
    await expect(start({ dataDir })).rejects.toMatchObject({
      code: 'EMBEDDED_DATA_DIR_UNUSABLE',
      message: expect.stringContaining('Postgres 9.6') as unknown,
    })
  })

  it.runIf(process.getuid?.() === 0)('names the folder that its user may not enter, and makes nothing', async () => {
    const closed = await temporaryFolder(0o700)
    await expect(start({ dataDir: join(closed, 'below', 'data') })).rejects.toMatchObject({
      code: 'EMBEDDED_DATA_DIR_UNUSABLE',
      message: expect.stringContaining(`chmod o+x ${closed}`) as unknown,
    })
    expect(existsSync(join(closed, 'below'))).toBe(false)
  })
})
