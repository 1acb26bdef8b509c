import { afterAll, beforeAll, expect, test } from 'vitest'
import pg from 'pg'
import { GenericContainer, getContainerRuntimeClient, Network, type StartedNetwork, type StartedTestContainer, Wait } from 'testcontainers'
import { containerDatabase, databaseUrl, describeContainer, images, PASSWORD, postgresContainer, psql } from '../support/container.js'
import { until, untilStatus } from '../support/executor.js'
import { LABEL } from './setup.js'

const ORGANIZATION = '11111111-1111-4111-8111-111111111111'

/** What a container has logged up to now. */
async function logged(container: StartedTestContainer): Promise<string> {
  const { dockerode } = (await getContainerRuntimeClient()).container
  const log = await dockerode.getContainer(container.getId()).logs({ stdout: true, stderr: true, follow: false })
  return log.toString()
}

describeContainer('the image of Postgres', () => {
  test('it refuses a first start without a password', async () => {
    const container = await new GenericContainer(images().postgres)
      .withLabels({ [LABEL]: 'postgres' })
      .withWaitStrategy(Wait.forLogMessage(/set POSTGRES_PASSWORD: this is the first start/))
      .start()
    try {
      const { dockerode } = (await getContainerRuntimeClient()).container
      expect(await dockerode.getContainer(container.getId()).wait()).toMatchObject({ StatusCode: 64 })
    } finally {
      await container.stop()
    }
  })

  test('it has pg_cron and pgmq, keeps its database over a restart, and shuts down at once while sessions are open', async () => {
    const container = await postgresContainer().withEnvironment({ PGDATABASE: 'an "app\'s"' }).start()
    const session = new pg.Client({ connectionString: databaseUrl(container, encodeURIComponent('an "app\'s"')) })
    session.on('error', () => undefined)
    try {
      await psql(container, 'create extension pgmq', "select pgmq.create('kept')", "select pgmq.send('kept', '{}')")
      await session.connect()
      await session.query('begin')
      await container.restart({ timeout: 30_000 })
      await until('it answers', async () => (await container.exec(['pg_isready', '--quiet'])).exitCode === 0)
      expect(await psql(container, 'select count(*) from pgmq.q_kept', "select extversion from pg_extension where extname in ('pg_cron', 'pgmq') order by extname", 'show cron.database_name', 'show cron.timezone'))
        .toBe('1\n1.6\n1.11.1\nan "app\'s"\nGMT')
      const log = await logged(container)
      expect(log).toContain('received fast shutdown request')
      expect(log).toContain('database system is shut down')
      expect(log).not.toContain('was not properly shut down')
    } finally {
      await session.end().catch(() => undefined)
      await container.stop()
    }
  })
})

describeContainer('the image of the executor', () => {
  let network: StartedNetwork | undefined
  // Around the hooks of containerDatabase, which needs it.
  beforeAll(async () => {
    network = await new Network().start()
  })
  afterAll(async () => {
    await network?.stop()
  })
  const net = (): StartedNetwork => {
    if (network === undefined) throw new Error('the network is there only inside tests and hooks')
    return network
  }
  const database = containerDatabase(net)

  const executor = (): GenericContainer =>
    new GenericContainer(images().executor)
      .withLabels({ [LABEL]: 'executor' })
      .withNetwork(net())
      .withEnvironment({ DATABASE_URL: 'postgres://postgres@postgres:5432/fw', PGPASSWORD: PASSWORD })
      .withWaitStrategy(Wait.forHealthCheck())
      .withStartupTimeout(120_000)

  const run = async (workflow: string, input: string): Promise<string> => {
    await psql(database.container, `select fw_save_worker_settings('${ORGANIZATION}', true)`)
    const id = await psql(database.container, `select fw_enqueue('${workflow}', '${input}', '${ORGANIZATION}')`)
    await untilStatus(database, id, 'completed')
    return psql(database.container, `select output from fw_workflow_executions where id = '${id}'`)
  }

  test('it becomes healthy, runs the workflow that comes with it, and stops in order', async () => {
    const container = await executor().start()
    expect(await run('hello', '{"name": "Ada"}')).toBe('"HELLO, ADA!"')
    expect((await container.exec(['id', '-u'])).output.trim()).not.toBe('0')
    await container.stop({ timeout: 30_000 })
    expect(await database.query('select from public.fw_executors where stopped_at is null')).toEqual([])
  })

  test("it runs a user's workflows that are mounted in their place", async () => {
    const container = await executor()
      .withCopyContentToContainer([{
        target: '/app/workflows/index.js',
        content: `import { workflow } from 'durable-execution-worker'
          import { z } from 'zod'
          export default workflow({ name: 'mine', input: z.object({ n: z.number() }) }, (ctx, { n }) => ctx.step('double', () => 2 * n))`,
      }])
      .start()
    try {
      expect(await run('mine', '{"n": 21}')).toBe('42')
    } finally {
      await container.stop()
    }
  })

  test('it is unhealthy when the database does not hear from it', async () => {
    const container = await executor().start()
    try {
      const { dockerode } = (await getContainerRuntimeClient()).container
      const { Config } = await dockerode.getContainer(container.getId()).inspect()
      const [how, command = ''] = (Config as { Healthcheck?: { Test?: string[] } }).Healthcheck?.Test ?? []
      expect({ how, command }).toEqual({ how: 'CMD-SHELL', command: expect.not.stringMatching(/\b(fw|node) /) as unknown })
      const probe = async () => (await container.exec(['sh', '-c', command])).exitCode
      expect(await probe()).toBe(0)
      await database.query("update public.fw_executors set name = 'somebody else' where stopped_at is null")
      await until('the file is too old', async () => (await probe()) === 1, 120)
    } finally {
      await container.stop()
    }
  })
})
