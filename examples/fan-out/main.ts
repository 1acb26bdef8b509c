// A child for each of 406 real records of cars, so many at a time, and their results put together: npm run example:fan-out
import { readFile } from 'node:fs/promises'
import { workflow } from 'durable-execution-worker'
import { z } from 'zod'
import { tell } from '../demo.js'

const car = z.object({ Name: z.string(), Origin: z.string(), Miles_per_Gallon: z.number().nullable() })

const consumption = workflow({ name: 'consumption', input: car }, (ctx, { Origin: origin, Miles_per_Gallon: miles }) =>
  // Litres for 100 kilometres; the records of some cars do not say.
  ctx.step('convert', () => ({ origin, litres: miles === null ? null : 235.215 / miles })))

const survey = workflow({ name: 'survey', input: z.object({ cars: z.array(car) }) }, async (ctx, { cars }) => {
  const results = await ctx.map(cars, consumption, { concurrency: 100 })
  return await ctx.step('average', () => {
    const byOrigin = new Map<string, number[]>()
    for (const { origin, litres } of results) {
      if (litres !== null) byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), litres])
    }
    return [...byOrigin].map(([origin, litres]) => ({
      origin,
      cars: litres.length,
      litres: Math.round((litres.reduce((sum, each) => sum + each, 0) / litres.length) * 10) / 10,
    }))
  })
})

await tell([survey, consumption], async ({ client, pool, organizationId }) => {
  const file = new URL('../data/cars.json', import.meta.resolve('vega-datasets'))
  const cars = car.array().parse(JSON.parse(await readFile(file, 'utf8')))
  await pool.query('update fw_module_settings set fw_worker_batch_size = 50, fw_worker_concurrency = 10 where organization_id = $1', [organizationId])
  const id = await client.enqueue(survey, { cars }, { organizationId })
  for (const { origin, cars: count, litres } of await client.result(id)) console.log(`${origin}: ${count} cars, ${litres} litres for 100 km on average`)
  const { rows } = await pool.query<{ children: number }>('select count(*)::int as children from fw_workflow_executions where parent_id = $1', [id])
  console.log(`${rows[0]?.children ?? 0} children of ${cars.length} records; the survey itself ran twice: once to invoke them, once with their results`)
})
