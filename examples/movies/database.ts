// The database of the demo: a Postgres of its own, temporary or kept, or one that is there already.
import { DataDirUnusableError, type EmbeddedPostgres, startEmbeddedPostgres } from 'durable-execution-worker/embedded'
import type { Options } from './options.js'

export interface Database {
  url: string
  /** For the reader: where it is. */
  about: string
  /** What to do to look at it after the demo. */
  lookAtIt: readonly string[]
  /** What becomes of a run that was stopped. */
  afterStop: string
  close: () => Promise<void>
}

const GOES_ON = 'What had not ended goes on when the demo next runs on this database.'

export async function openDatabase({ dataDir, databaseUrl }: Options): Promise<Database> {
  if (databaseUrl !== undefined) {
    return {
      url: databaseUrl,
      about: 'the database of --database-url',
      lookAtIt: ['It is all in the database of --database-url. In psql:'],
      afterStop: GOES_ON,
      close: () => Promise.resolve(),
    }
  }
  const server = await start(dataDir)
  return {
    url: server.databaseUrl,
    about: `Postgres of the demo's own on port ${server.port}, ${dataDir === undefined ? 'temporary' : `kept in ${dataDir}`}`,
    lookAtIt:
      dataDir === undefined
        ? ['The database is gone now. To keep the next one: npm start -- --keep. Then, in psql:']
        : ['The database is kept. Start it again, and look:', `  npx fw dev --data-dir ${dataDir}`, `  psql ${server.databaseUrl}`],
    afterStop: dataDir === undefined ? 'The database goes with it.' : GOES_ON,
    close: server.stop,
  }
}

async function start(dataDir: string | undefined): Promise<EmbeddedPostgres> {
  try {
    return await startEmbeddedPostgres(dataDir === undefined ? {} : { dataDir })
  } catch (error) {
    if (!(error instanceof DataDirUnusableError)) throw error
    throw new Error(`${error.message}\nAnother folder is chosen so: npm start -- --data-dir /var/tmp/movies`, { cause: error })
  }
}
