// The demo of `npm start`, run as a reader runs it, and what it makes of each kind of dirt in its data.
// The demo uses the built package: `npm test` builds it first.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { MovieRecord, toMovie } from '../../../examples/movies/movie.js'
import { organizationId, readOrganizations } from '../../../examples/movies/records.js'
import { reportOn } from '../../../examples/movies/report.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/index.js'
import { expectInvariantsZero, testDatabase } from '../support/database.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const ROOT = join(import.meta.dirname, '../../..')
const LONG = 180_000

const organizations = await readOrganizations()
const records = organizations.flatMap((organization) => organization.records)

/** The one real record with this title. */
function real(title: string | number | null): Record<string, unknown> {
  const found = records.filter((record) => record['Title'] === title)
  expect(found).toHaveLength(1)
  return found[0] as Record<string, unknown>
}

const converted = (title: string | number) => toMovie(MovieRecord.parse(real(title)))
const refusals = (record: unknown) => MovieRecord.safeParse(record).error?.issues.map(({ path, message }) => `${path.join()}: ${message}`)

describe('a record', () => {
  it('with a number for a title gets a text', () => {
    expect(converted(300)).toMatchObject({ title: '300', released: '2007-03-09' })
  })

  it('without a title is no movie', () => {
    expect(refusals(real(null))).toEqual(['Title: is neither a text nor a number'])
  })

  it('released at the zero of Unix time has no release date', () => {
    expect(refusals(real('Drei'))).toEqual(['Release Date: Dec 31 1969 stands for no date'])
  })

  it('released on another last day of a year was released then', () => {
    expect(converted('Confessions of a Dangerous Mind').released).toBe('2002-12-31')
  })

  it('with a day that no calendar has is no movie', () => {
    for (const date of ['Feb 30 1999', 'Foo 01 1999', '12-Jun-98', '1999-01-01', '', null]) {
      expect(MovieRecord.safeParse({ ...real('Drei'), 'Release Date': date }).success, String(date)).toBe(false)
    }
  })

  it('with a field that is not known is refused', () => {
    expect(refusals({ ...real('Hud'), Budget: 1 })).toHaveLength(1)
  })

  it('from a century too late is put back, and 2011 is not too late', () => {
    expect(converted('The Wizard of Oz').released).toBe('1939-08-25')
    expect(converted('The Birth of a Nation').released).toBe('1915-02-08')
    expect(converted('The Adventures of Tintin: Secret of the Unicorn').released).toBe('2011-12-23')
  })

  it('with a distributor that is missing or called unknown has none', () => {
    expect(converted('The Book of Mormon Movie, Volume 1: The Journey').distributor).toBeNull()
    expect(converted('Following').distributor).toBe('Zeitgeist')
    expect(converted('Hollywood Shuffle').distributor).toBeNull()
  })

  it('with a gross of 0 in the whole world has a gross that is not known', () => {
    expect(real('12 Angry Men')).toMatchObject({ 'US Gross': 0, 'Worldwide Gross': 0 })
    expect(converted('12 Angry Men')).toMatchObject({ usGross: null, worldwideGross: null, budget: 340_000 })
  })

  it('with a gross of 0 in the US alone made nothing there', () => {
    expect(converted('Bathory')).toMatchObject({ usGross: 0, worldwideGross: 3_436_763 })
  })

  it('without amounts keeps them unknown', () => {
    expect(converted('Bananas')).toMatchObject({ usGross: null, worldwideGross: null, usDvdSales: null, budget: 2_000_000 })
    expect(converted('Baby Mama').budget).toBeNull()
  })

  it('with letters of another alphabet table gets them back', () => {
    expect(converted('CachÈ').title).toBe('Caché')
    expect(converted("De battre mon coeur s'est arrÍtÈ").title).toBe("De battre mon coeur s'est arrêté")
    expect(converted('The Naked Gun 2Ω: The Smell of Fear').title).toBe('The Naked Gun 2½: The Smell of Fear')
    expect(converted("I Love You Ö Don't Touch Me!").title).toBe("I Love You … Don't Touch Me!")
  })

  it('with letters that are right already keeps them', () => {
    expect(converted('Alien³').title).toBe('Alien³')
    expect(converted('Ri¢hie Ri¢h').title).toBe('Ri¢hie Ri¢h')
  })

  it('loses doubled quotes and blanks, and the order of a card index', () => {
    expect(converted('Bang').director).toBe('Jeff "King Jeff" Hollins')
    expect(converted('Secret, The').title).toBe('The Secret')
    const twice = records.map((record) => record['Title']).filter((title) => typeof title === 'string' && title.includes('  '))
    expect(twice).toHaveLength(2)
    for (const title of twice) expect(converted(title as string).title).not.toContain('  ')
  })
})

describe('the records together', () => {
  it('are all movies but nine', () => {
    const parsed = records.map((record) => MovieRecord.safeParse(record))
    expect(parsed.filter(({ success }) => success)).toHaveLength(3192)
    const years = parsed.flatMap(({ data }) => (data === undefined ? [] : [Number(toMovie(data).released.slice(0, 4))]))
    expect([Math.min(...years), Math.max(...years)]).toEqual([1915, 2011])
  })

  it('belong to an organization by distributor, whose uuid follows from its name', () => {
    expect(records).toHaveLength(3201)
    expect(organizations).toHaveLength(174)
    expect(new Set(organizations.map(({ id }) => id)).size).toBe(174)
    expect(organizations.find(({ name }) => name === '(no distributor)')?.records).toHaveLength(233)
    expect(organizationId('Miramax')).toBe(organizations.find(({ name }) => name === 'Miramax')?.id)
    for (const { id } of organizations) expect(z.uuid({ version: 'v8' }).safeParse(id).success, id).toBe(true)
  })
})

const Numbers = z.strictObject({
  executions: z.int(),
  completed: z.int(),
  dead_lettered: z.int(),
  retried: z.int(),
  organizations: z.int(),
  seconds: z.number().positive(),
})
type Numbers = z.infer<typeof Numbers>

/** What `npm start -- <args>` runs, without the installing before it. */
async function demo(...args: string[]): Promise<Numbers> {
  const child = spawn('npm', ['run', '--silent', '--ignore-scripts', 'start', '--', '--json', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  expect(child.exitCode, `${out}\n${err}`).toBe(0)
  return Numbers.parse(JSON.parse(out.trimEnd().split('\n').at(-1) ?? ''))
}

async function countRuns(sql: pg.Pool): Promise<Omit<Numbers, 'seconds'>[]> {
  const { rows } = await sql.query<Omit<Numbers, 'seconds'>>(`
    select count(*)::integer as executions, count(distinct organization_id)::integer as organizations,
      count(*) filter (where status = 'completed')::integer as completed,
      count(*) filter (where id in (select execution_id from fw_dlq))::integer as dead_lettered,
      count(*) filter (where retry_count > 0)::integer as retried
    from fw_workflow_executions group by metadata ->> 'run' order by metadata ->> 'run'`)
  return rows
}

async function expectOneRowEach(sql: pg.Pool): Promise<void> {
  const { rows } = await sql.query(`
    select e.status, count(*)::integer as executions, count(m.execution_id)::integer as movies
    from fw_workflow_executions e full join demo.movies m on m.execution_id = e.id group by 1 order by 1`)
  const runs = (await countRuns(sql)).length
  expect(rows).toEqual([
    { status: 'completed', executions: runs * 3192, movies: runs * 3192 },
    { status: 'failed', executions: runs * 9, movies: 0 },
  ])
}

describe('the demo on a database that it keeps', () => {
  let server: EmbeddedPostgres
  let sql: pg.Pool
  const printed: Numbers[] = []

  beforeAll(async () => {
    const dataDir = join(await temporaryFolder(), 'movies')
    printed.push(await demo('--data-dir', dataDir))
    printed.push(await demo('--data-dir', dataDir))
    server = await startEmbeddedPostgres({ dataDir })
    sql = new pg.Pool({ connectionString: server.databaseUrl })
    sql.on('error', () => undefined)
  }, LONG)

  afterAll(async () => {
    await sql.end()
    await server.stop()
  })

  it('prints for each run what SQL counts for it', async () => {
    const withoutSeconds = printed.map(({ executions, completed, dead_lettered, retried, organizations }) => ({
      executions, completed, dead_lettered, retried, organizations,
    }))
    expect(await countRuns(sql)).toEqual(withoutSeconds)
    expect(withoutSeconds).toMatchObject([1, 2].map(() => ({ executions: 3201, completed: 3192, dead_lettered: 9, organizations: 174 })))
  })

  it('retries what met an outage, as often as it met one', async () => {
    const { rows } = await sql.query(
      "select retry_count, last_error, count(*)::integer from fw_workflow_executions where status = 'completed' group by 1, 2 order by 1",
    )
    expect(rows).toEqual([
      { retry_count: 0, last_error: null, count: 2 * 3038 },
      { retry_count: 1, last_error: 'the classifier did not answer', count: 2 * 120 },
      { retry_count: 2, last_error: 'the classifier did not answer', count: 2 * 34 },
    ])
  })

  it('writes one row for each completed execution and none for the others', async () => {
    await expectOneRowEach(sql)
  })

  it('dead-letters what is no movie in its first attempt, with its reasons', async () => {
    const { rows } = await sql.query(
      'select error, error_category, attempt, count(*)::integer from fw_dlq group by 1, 2, 3 order by 4 desc',
    )
    expect(rows).toEqual([
      { error: 'Release Date: Dec 31 1969 stands for no date', error_category: 'VALIDATION', attempt: '1', count: 16 },
      { error: 'Title: is neither a text nor a number', error_category: 'VALIDATION', attempt: '1', count: 2 },
    ])
  })

  it('runs no step again in a later attempt', async () => {
    const { rows } = await sql.query(`
      select distinct s.node_id, s.attempt_number > 1 as later from fw_execution_steps s
      join fw_workflow_executions e on e.id = s.execution_id where e.retry_count > 0 order by 1`)
    expect(rows).toEqual([
      { node_id: 'classify', later: true },
      { node_id: 'convert', later: false },
      { node_id: 'validate', later: false },
      { node_id: 'write', later: true },
    ])
  })

  it('keeps amounts that are larger than an integer', async () => {
    const { rows } = await sql.query("select distinct worldwide_gross, verdict from demo.movies where title = 'Avatar'")
    expect(rows).toEqual([{ worldwide_gross: '2767891499', verdict: 'hit' }])
  })

  it('leaves every invariant at zero', async () => {
    await expectInvariantsZero(sql)
  })
})

describe('the demo on a database that is there already', () => {
  const database = testDatabase()

  it('runs on it, and says what is off when something is', async () => {
    const { seconds, ...printed } = await demo('--database-url', database.url)
    expect(seconds).toBeGreaterThan(0)
    expect(await countRuns(database.pool)).toEqual([printed])
    await expectOneRowEach(database.pool)

    const [{ run } = { run: '' }] = await database.query<{ run: string }>("select metadata ->> 'run' as run from fw_workflow_executions limit 1")
    expect((await reportOn(database.pool, run, 3201)).problems).toEqual([])
    await database.query("delete from demo.movies where title = 'Avatar'")
    expect((await reportOn(database.pool, run, 3202)).problems).toEqual([
      '3202 executions were enqueued, 3201 are there',
      'demo.movies has 3191 rows for 3192 completed executions',
    ])
  }, LONG)
})

describe('the demo, interrupted', () => {
  it('stops its executor and its server, and says so', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'examples/movies/main.ts'], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    const err = text(child.stderr)
    let port = ''
    child.stdout.setEncoding('utf8')
    for await (const chunk of child.stdout as AsyncIterable<string>) {
      port ||= /on port (\d+)/.exec(chunk)?.[1] ?? ''
      if (chunk.includes('Enqueueing')) child.kill('SIGINT')
    }
    await Promise.all([err, child.exitCode ?? once(child, 'close')])
    expect(child.exitCode).toBe(130)
    expect(await err).toContain('Stopped.')
    const client = new pg.Client({ host: '127.0.0.1', port: Number(port), user: 'postgres', password: 'any' })
    await expect(client.connect()).rejects.toThrow('ECONNREFUSED')
  }, LONG)
})
