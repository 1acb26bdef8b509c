// An order in three steps, each of which can be undone: npm run example:order-saga
// The last of three orders cannot be shipped; what was charged and reserved for it is undone, the last step first.
import { PermanentError, workflow } from 'durable-execution-worker'
import { z } from 'zod'
import { tell } from '../demo.js'

const say = (line: string): void => {
  console.log(line)
}

const order = workflow({ name: 'order', input: z.object({ order: z.string(), item: z.string(), cents: z.int() }) }, async (ctx, { order, item, cents }) => {
  const reservation = await ctx.step(
    'reserve',
    () => {
      say(`${order}: reserve one ${item}`)
      return `reservation of ${order}`
    },
    { compensate: (id) => { say(`${order}: give back the ${id}`) } },
  )
  const receipt = await ctx.step(
    'charge',
    () => {
      say(`${order}: charge ${cents} cents`)
      return `receipt of ${order}`
    },
    { compensate: (id) => { say(`${order}: pay back the ${id}`) } },
  )
  await ctx.step('ship', () => {
    if (item === 'unicorn') throw new PermanentError('nobody ships unicorns', { category: 'NOT_FOUND' })
    say(`${order}: ship the ${item}`)
  })
  return { reservation, receipt }
})

await tell([order], async ({ client, pool, organizationId }) => {
  const orders = [
    { order: 'A1', item: 'teapot', cents: 4200 },
    { order: 'A2', item: 'kettle', cents: 3100 },
    { order: 'A3', item: 'unicorn', cents: 99 },
  ]
  const ids = await client.enqueueMany(order, orders, { organizationId })
  for (const [place, id] of ids.entries()) {
    const name = orders[place]?.order ?? ''
    await client.result(id).then(
      ({ receipt }) => {
        say(`${name} is done: ${receipt}`)
      },
      (error: unknown) => {
        say(`${name} is off: ${error instanceof Error ? error.message : String(error)}`)
      },
    )
  }
  const { rows } = await pool.query<{ node_id: string; status: string }>(
    'select node_id, status from fw_execution_steps where execution_id = $1 order by step_index', [ids[2]])
  say(`In the database, the steps of A3: ${rows.map(({ node_id: step, status }) => `${step} ${status}`).join(', ')}`)
})
