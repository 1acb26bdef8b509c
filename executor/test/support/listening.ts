// A session that listens, for tests of what is sent by NOTIFY.
import pg from 'pg'
import type { TestDatabase } from './database.js'

export interface Listener {
  /** What has arrived so far, in the order of the commits: the payloads of one channel, or all as `channel payload`. */
  heard: (channel?: string) => Promise<string[]>
}

/** Listens on these channels while the work goes on. */
export async function listening<T>(database: TestDatabase, channels: readonly string[], work: (listener: Listener) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: database.url })
  const arrived: { channel: string; payload: string }[] = []
  client.on('notification', ({ channel, payload = '' }) => arrived.push({ channel, payload }))
  await client.connect()
  try {
    for (const channel of channels) await client.query(`listen ${channel}`)
    return await work({
      heard: async (channel) => {
        // What was committed before this statement is delivered with its answer.
        await client.query('select')
        return arrived
          .filter((each) => channel === undefined || each.channel === channel)
          .map((each) => (channel === undefined ? `${each.channel} ${each.payload}` : each.payload))
      },
    })
  } finally {
    await client.end()
  }
}
