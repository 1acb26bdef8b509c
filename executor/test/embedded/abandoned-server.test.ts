import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import { expect, it, vi } from 'vitest'
import { z } from 'zod'

const Started = z.object({ pid: z.number(), dataDir: z.string() })

/** A Node process that starts a server, tells of it, and does what the test wants next. */
async function host(afterwards: string): Promise<{ kill: () => void; exited: Promise<unknown>; pid: number; dataDir: string }> {
  const module = new URL('../../src/embedded/index.ts', import.meta.url).href
  const program = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(module)})
    const { pid, dataDir } = await startEmbeddedPostgres({ settings: { shared_buffers: '32MB' } })
    console.log(JSON.stringify({ pid, dataDir }))
    ${afterwards}`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('../../../', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    return { ...Started.parse(JSON.parse(line)), kill: () => child.kill('SIGKILL'), exited }
  }
  throw new Error('the program ended without starting a server')
}

async function expectGone(pid: number, dataDir: string): Promise<void> {
  await vi.waitFor(
    () => {
      expect(existsSync(dataDir)).toBe(false)
      expect(() => process.kill(pid, 0)).toThrow()
    },
    { timeout: 30_000, interval: 100 },
  )
}

it('ends, and its temporary folder goes, when the program that started it exits without stopping it', async () => {
  const { exited, pid, dataDir } = await host('process.exit(0)')
  await exited
  await expectGone(pid, dataDir)
})

it.skipIf(process.platform === 'win32')('ends, and its temporary folder goes, when the program is killed', async () => {
  const { kill, exited, pid, dataDir } = await host('')
  expect(existsSync(dataDir)).toBe(true)
  kill()
  await exited
  await expectGone(pid, dataDir)
})
