// Expenses that a person approves within a time: npm run example:approval
// The first is approved, the second is refused, for the third nobody answers.
import { EventTimeoutError, workflow } from 'durable-execution-worker'
import { z } from 'zod'
import { tell } from '../demo.js'

const answer = z.object({ approved: z.boolean(), by: z.string() })

const expense = workflow({ name: 'expense', input: z.object({ expense: z.string(), cents: z.int() }) }, async (ctx, { expense, cents }) => {
  await ctx.step('ask', () => {
    console.log(`${expense}: may ${cents} cents be spent? (the answer is an event: answer:${expense})`)
  })
  try {
    // The execution holds no place while it waits, be it for hours.
    const { approved, by } = await ctx.waitForEvent(`answer:${expense}`, { schema: answer, timeout: '2s' })
    return approved ? `approved by ${by}` : `refused by ${by}`
  } catch (error) {
    if (!(error instanceof EventTimeoutError)) throw error
    return await ctx.step('give up', () => 'refused, because nobody answered in time')
  }
})

await tell([expense], async ({ client, pool, organizationId }) => {
  const expenses = ['train ticket', 'golden pen', 'coffee']
  const ids = await client.enqueueMany(expense, expenses.map((name, place) => ({ expense: name, cents: 1000 * (place + 1) })), { organizationId })
  await client.emit(organizationId, 'answer:train ticket', { approved: true, by: 'Ada' })
  // From SQL it is the same.
  await pool.query('select fw_emit_event($1, $2, $3)', [organizationId, 'answer:golden pen', { approved: false, by: 'Bob' }])
  for (const [place, id] of ids.entries()) console.log(`${expenses[place] ?? ''}: ${await client.result(id)}`)
})
