// What the executor runs until you mount a folder of your own in its place.
import { workflow } from 'durable-execution-worker'
import { z } from 'zod'

export const hello = workflow({ name: 'hello', input: z.object({ name: z.string() }) }, async (ctx, { name }) => {
  const greeting = await ctx.step('greet', () => `Hello, ${name}`)
  return ctx.step('shout', () => `${greeting.toUpperCase()}!`)
})
