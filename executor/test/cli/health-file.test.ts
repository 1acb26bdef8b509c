import { existsSync } from 'node:fs'
import { readFile, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { keepHealthFile } from '../../src/cli/health-file.js'
import { testDatabase } from '../support/database.js'
import { until } from '../support/executor.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { fixture, fw, startFw } from './fw.js'

const database = testDatabase()
const DOCKERFILE = new URL('../../../docker/executor.Dockerfile', import.meta.url)

it('is renewed while the executor is alive, is left as it is while it is not, and goes at the end', async () => {
  const path = join(await temporaryFolder(), 'health')
  let answer: () => Promise<boolean> = () => Promise.resolve(true)
  let looks = 0
  const file = keepHealthFile({
    path,
    isAlive: () => {
      looks += 1
      return answer()
    },
    every: 5,
  })
  const old = new Date('2020-01-01')
  const isOld = async () => (await stat(path)).mtime.getTime() === old.getTime()
  await until('it is written', () => existsSync(path))
  await utimes(path, old, old)
  await until('it is renewed', async () => !(await isOld()))
  for (const notAlive of [() => Promise.resolve(false), () => Promise.reject(new Error('no database'))]) {
    answer = notAlive
    // The look that was under way may still write.
    const from = looks
    await until('two looks have begun', () => looks > from + 1)
    await utimes(path, old, old)
    const then = looks
    await until('it has looked again and again', () => looks > then + 5)
    expect(await isOld()).toBe(true)
  }
  await file.stop()
  expect(existsSync(path)).toBe(false)
})

it('fw run keeps one where it is told to, by an option or by FW_HEALTH_FILE, and removes it when it stops', async () => {
  for (const how of ['option', 'variable']) {
    const path = join(await temporaryFolder(), 'health')
    const started = startFw(['run', fixture('workflows.js'), ...(how === 'option' ? ['--health-file', path] : [])], {
      url: database.url,
      env: how === 'option' ? {} : { FW_HEALTH_FILE: path },
    })
    await until('the file is there', () => existsSync(path))
    started.kill('SIGTERM')
    expect((await started.finished).code).toBe(0)
    expect(existsSync(path)).toBe(false)
  }
})

it("the container's probe looks at the file and starts no Node", async () => {
  const dockerfile = await readFile(DOCKERFILE, 'utf8')
  const [, probe = ''] = /^HEALTHCHECK[^\n]*\\\n\s*CMD (.*)$/m.exec(dockerfile) ?? []
  const [, path] = /^ENV FW_HEALTH_FILE=(\S+)$/m.exec(dockerfile) ?? []
  expect(path).toMatch(/^\//)
  expect(probe).toContain('$FW_HEALTH_FILE')
  expect(probe).not.toMatch(/\b(fw|node|npx?) /)
})

it('fw health --executor answers the same question', async () => {
  expect(await fw(['health', '--executor', 'nobody'], { url: database.url })).toMatchObject({ code: 1 })
})
