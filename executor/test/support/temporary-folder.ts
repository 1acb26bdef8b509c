// A folder that lives as long as the tests of a file, and that the database server's user can enter.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { reachableTemp, serverUser } from '../../src/embedded/server-user.js'

/** Makes a folder with the given mode (default 0755), removed after the file's tests. */
export async function temporaryFolder(mode = 0o755): Promise<string> {
  const folder = await mkdtemp(join(reachableTemp(serverUser()), 'fw-test-'))
  await chmod(folder, mode)
  made.push(folder)
  return folder
}

const made: string[] = []

afterAll(async () => {
  await Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true })))
})
