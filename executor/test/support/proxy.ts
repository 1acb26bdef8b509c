// A network between an executor and its database that a test can cut: a TCP proxy on the loopback.
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

export interface Proxy {
  /** The database's URL, by way of the proxy. */
  readonly url: string
  /** How often somebody has tried to connect. */
  readonly attempts: number
  /** Nothing goes through any more, but no connection is closed: what a lost cable looks like. */
  silence: () => void
  /** Every connection is closed, and new ones are closed at once. */
  cut: () => void
  /** Everything goes through, also what was held back by silence(). */
  restore: () => void
  close: () => Promise<void>
}

/**
 * What becomes of something that an executor sends. 'refuse': it never arrives, and both sides see the connection closed. 'answer': it
 * arrives, its answer does not, and both sides see the connection closed. 'lose' and 'lose answer' are the same without that anybody sees it.
 */
export type Fault = 'refuse' | 'answer' | 'lose' | 'lose answer'

export interface Sender {
  /** application_name of the session. */
  application: string
  /** What the test has noted of this session. */
  note: string
}

/** @param faultFor asked about everything that is sent to the database, as latin1; undefined lets it through */
export async function startProxy(databaseUrl: string, faultFor: (sent: string, by: Sender) => Fault | undefined = () => undefined): Promise<Proxy> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let attempts = 0
  let state: 'open' | 'silent' | 'cut' = 'open'
  const add = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer((near) => {
    attempts++
    add(near)
    if (state === 'cut') {
      near.destroy()
      return
    }
    const far = connect(Number(target.port), target.hostname)
    add(far)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    let fault: Fault | undefined
    let sender: Sender | undefined
    near.on('data', (data) => {
      const sent = data.toString('latin1')
      sender ??= { application: /application_name\0([^\0]*)/.exec(sent)?.[1] ?? '', note: '' }
      fault ??= faultFor(sent, sender)
      if (fault === 'refuse') far.destroy()
      else if (fault !== 'lose') far.write(data)
    })
    far.on('data', (data) => {
      if (fault === 'answer') far.destroy()
      else if (fault === undefined) near.write(data)
    })
    if (state === 'silent') near.pause()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(databaseUrl)
  url.port = String((server.address() as AddressInfo).port)
  const cut = () => {
    state = 'cut'
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: url.href,
    get attempts() {
      return attempts
    },
    silence: () => {
      state = 'silent'
      for (const socket of sockets) socket.pause()
    },
    cut,
    restore: () => {
      state = 'open'
      for (const socket of sockets) socket.resume()
    },
    close: async () => {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
