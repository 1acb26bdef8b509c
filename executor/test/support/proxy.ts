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

export async function startProxy(databaseUrl: string): Promise<Proxy> {
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
    near.on('data', (data) => far.write(data))
    far.on('data', (data) => near.write(data))
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
