// Postgres with pg_cron in a container of the image that docker/Dockerfile builds, for the files of test/container.
import pg from 'pg'
import { GenericContainer, type StartedNetwork, type StartedTestContainer, Wait } from 'testcontainers'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { migrate } from '../../src/migrate/index.js'
import { LABEL } from '../container/setup.js'
import { expectInvariantsZero } from './database.js'
import { until } from './executor.js'
import type { Queryable } from './sql.js'

export const PASSWORD = 'a password: "it\'s" %20 long'

/** Like describe, for tests that need a Docker engine. */
export const describeContainer = describe.skipIf(inject('images') === null)

/** The images of this run. */
export function images(): { postgres: string; executor: string } {
  const built = inject('images')
  if (built === null) throw new Error('there are no images: this test belongs into describeContainer')
  return built
}

/** A container of the Postgres image that is not started yet; its data is gone with it. */
export function postgresContainer(): GenericContainer {
  return new GenericContainer(images().postgres)
    .withLabels({ [LABEL]: 'postgres' })
    .withEnvironment({ POSTGRES_PASSWORD: PASSWORD })
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forHealthCheck())
    .withStartupTimeout(120_000)
}

export interface ContainerDatabase extends Queryable {
  /** Superuser URL of the database. */
  readonly url: string
  readonly container: StartedTestContainer
  readonly pool: pg.Pool
}

/**
 * Call it at the top of a describe: starts a container and migrates its database fw before the tests; afterwards checks the
 * invariants and removes the container. What it returns can be used inside tests and hooks.
 * @param network in which the container is called postgres
 */
export function containerDatabase(network?: () => StartedNetwork): ContainerDatabase {
  let started: { url: string; container: StartedTestContainer; pool: pg.Pool } | undefined
  const its = () => {
    if (started === undefined) throw new Error('the container is there only inside tests and hooks')
    return started
  }
  beforeAll(async () => {
    const image = postgresContainer().withCommand(['-c', 'fsync=off'])
    if (network !== undefined) image.withNetwork(network()).withNetworkAliases('postgres')
    const container = await image.start()
    const url = databaseUrl(container, 'fw')
    started = { url, container, pool: newPool(url) }
    await migrate({ connectionString: url, withCurrent: true })
  })
  afterAll(async () => {
    if (started === undefined) return
    try {
      await expectInvariantsZero(started.pool)
    } finally {
      await started.pool.end()
      await started.container.stop()
    }
  })
  return {
    get url() {
      return its().url
    },
    get container() {
      return its().container
    },
    get pool() {
      return its().pool
    },
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await its().pool.query<Row>(text, values)).rows,
  }
}

/** Superuser URL of a database in a container. */
export function databaseUrl(container: StartedTestContainer, database: string): string {
  const url = new URL(`postgres://postgres@${container.getHost()}:${container.getMappedPort(5432)}`)
  url.password = encodeURIComponent(PASSWORD)
  url.pathname = `/${database}`
  return url.href
}

export function newPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url })
  // The container goes before the pool does.
  pool.on('error', () => undefined)
  return pool
}

/** Runs psql inside a container, as an administrator would; returns what it printed, unaligned and without headings. */
export async function psql(container: StartedTestContainer, ...statements: string[]): Promise<string> {
  const commands = statements.flatMap((statement) => ['-c', statement])
  const { output, exitCode } = await container.exec(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', ...commands])
  if (exitCode !== 0) throw new Error(`psql ended with ${exitCode}: ${output}`)
  return output.trim()
}

/** Lets pg_cron run this job every second instead of on its schedule. */
export async function everySecond(on: Queryable, job: string): Promise<void> {
  const changed = await on.query("select cron.alter_job(jobid, schedule => '1 seconds') from cron.job where jobname = $1", [job])
  if (changed.length !== 1) throw new Error(`pg_cron has ${changed.length} jobs ${job}`)
}

/** Waits until the only living executor has looked at everything, found nothing, and asks for nothing any more. */
export async function untilIdle(on: Queryable): Promise<void> {
  const QUIET_MS = 2500
  let before: string | undefined
  let since = performance.now()
  await until('the executor is idle', async () => {
    const rows = await on.query<{ version: string }>('select xmin::text as version from public.fw_executors where wants_work and stopped_at is null')
    const now = rows.length === 1 ? rows[0]?.version : undefined
    if (now === undefined || now !== before) since = performance.now()
    before = now
    return performance.now() - since > QUIET_MS
  })
}
