// Raw pgmq, the floor: a plain loop of read(500) and delete(array), nothing on top. Its page "SQL functions" gives
// read, delete, send, send_batch, and enable_notify_insert, which the latency cases wake by.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import pg from 'pg'
import { countOf } from './count-of.ts'
import { inBatches } from './in-batches.ts'
import type { Load, Session, System, Worker } from './system.ts'

const QUEUE = 'bench'
const BATCH = 1000
const READ = 500
const READERS = 2
const VISIBILITY_SECONDS = 60
const IDLE_MS = 10
/** The wait for a notification before a look of its own, in case one got lost. */
const LOOK_ANYWAY_MS = 1000

const send = { name: 'send', text: `select pgmq.send('${QUEUE}', jsonb_build_object('marker', $1::int))` }
const sendBatch = {
  name: 'send_batch',
  text: `select count(*) from pgmq.send_batch('${QUEUE}', array(select jsonb_build_object('marker', marker)
    from generate_series($1::int, $2::int) marker))`,
}
const read = {
  name: 'read',
  text: `select msg_id, message from pgmq.read('${QUEUE}', ${VISIBILITY_SECONDS}, ${READ})`,
}
const remove = { name: 'delete', text: `select count(*) from pgmq.delete('${QUEUE}', $1::bigint[])` }

interface Message {
  readonly msg_id: string
  readonly message: { readonly marker: number }
}

async function install(url: string, load: Load): Promise<Session> {
  const latency = load.purpose === 'latency'
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)
  await pool.query('select pgmq.create($1)', [QUEUE])
  if (latency) await pool.query('select pgmq.enable_notify_insert($1, 0)', [QUEUE])

  return {
    fill: async (count, batch = BATCH) => {
      await inBatches(count, batch, (first, size) =>
        pool.query({ ...sendBatch, values: [first, first + size - 1] }),
      )
    },
    enqueue: async (marker) => {
      await pool.query({ ...send, values: [marker] })
    },
    enqueueWithin: async (client, marker) => {
      await client.query({ ...send, values: [marker] })
    },
    work: (on) => readers(url, latency ? 1 : READERS, latency, on),
    unfinished: () => countOf(pool, `select count(*) from pgmq.q_${QUEUE}`),
    close: () => pool.end(),
  }
}

/** Starts the loops, each on a connection of its own. */
async function readers(
  url: string,
  count: number,
  notified: boolean,
  on: Parameters<Session['work']>[0],
): Promise<Worker> {
  let stopping = false
  const clients = await Promise.all(Array.from({ length: count }, () => connected(url)))
  const listener = notified ? await listen(url) : undefined

  const loop = async (client: pg.Client): Promise<void> => {
    while (!stopping) {
      listener?.forget()
      const { rows } = await client.query<Message>(read)
      if (rows.length === 0) {
        await (listener === undefined ? sleep(IDLE_MS) : listener.wait())
        continue
      }
      for (const { message } of rows) on.started?.(message.marker)
      await client.query({ ...remove, values: [rows.map((row) => row.msg_id)] })
      for (let i = 0; i < rows.length; i++) on.finished?.()
    }
  }
  const loops = clients.map(loop)

  return {
    stop: async () => {
      stopping = true
      listener?.wake()
      await Promise.all(loops)
      await Promise.all(clients.map((client) => client.end()))
      await listener?.end()
    },
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client
}

interface Listener {
  /** What was heard until now no longer counts. */
  forget(): void
  /** Resolves when an insert is heard or `wake` is called, at once where that was since `forget`. */
  wait(): Promise<void>
  wake(): void
  end(): Promise<void>
}

async function listen(url: string): Promise<Listener> {
  const client = await connected(url)
  let heard = false
  let resolveWait: ((nothing: undefined) => void) | undefined
  const wake = (): void => {
    heard = true
    resolveWait?.(undefined)
  }
  client.on('notification', wake)
  await client.query(`listen "pgmq.q_${QUEUE}.INSERT"`)
  return {
    forget: () => {
      heard = false
    },
    wait: async () => {
      if (heard) return
      const { promise, resolve } = Promise.withResolvers<undefined>()
      resolveWait = resolve
      const timer = setTimeout(resolve, LOOK_ANYWAY_MS, undefined)
      await promise
      clearTimeout(timer)
    },
    wake,
    end: () => client.end(),
  }
}

/** The version that the embedded server's package of pgmq installs by default. */
function packedVersion(): string {
  const archive = join(import.meta.dirname, '../../../node_modules/@electric-sql/pglite-pgmq/dist/pgmq.tar.gz')
  const text = gunzipSync(readFileSync(archive)).toString('latin1')
  const version = /default_version = '([^']+)'/.exec(text)?.[1]
  if (version === undefined) throw new Error('the package of pgmq names no version')
  return version
}

export const system: System = {
  name: 'pgmq',
  get version() {
    return packedVersion()
  },
  settings:
    `${READERS} connections, each read(${READ}) and delete of the array; latency and idle: one connection ` +
    'woken by enable_notify_insert, throttle 0; batches by send_batch',
  steps: [0],
  install,
}
