// Every public function of the SQL API meets generated arguments, on a database with work in every state. FW_FUZZ_SEED replays a run,
// FW_FUZZ_CALLS says how often each function is called.
import { expect, test } from 'vitest'
import { sqlDatabase } from '../support/sql.js'
import { publicFunctions } from './catalogue.js'
import { fuzz } from './fuzzer.js'

const database = sqlDatabase()
const seed = Number(process.env['FW_FUZZ_SEED'] ?? Math.floor(Math.random() * 1e9))
const calls = Number(process.env['FW_FUZZ_CALLS'] ?? 200)

test(`each function takes what it is given, or says what is wrong with it, and nothing else happens (FW_FUZZ_SEED=${seed})`, { timeout: 600_000 }, async ({ annotate }) => {
  const { problems, counts, states } = await fuzz(database, { seed, calls })
  await annotate(`calls by SQLSTATE: ${[...states].sort().map(([state, count]) => `${state} ${count}`).join(', ')}`)
  expect(problems.join('\n\n'), `FW_FUZZ_SEED=${seed}`).toBe('')
  const all = (await publicFunctions(database)).map(({ name }) => name)
  expect(all.length).toBeGreaterThan(50)
  expect(all.filter((name) => (counts.get(name) ?? 0) < calls)).toEqual([])
})
