// What is asked of a process that plays one case, and what it answers. A spec travels as JSON from the plan to the process.
import { z } from 'zod'
import { systemNames } from '../systems/system.ts'

const whole = z.int().nonnegative()
const common = {
  system: z.enum(systemNames),
  /** The case in words, as the table shows it; several measurements add what they are. */
  title: z.string(),
}

export const specSchema = z.discriminatedUnion('kind', [
  z.object({ ...common, kind: z.literal('describe') }),
  z.object({
    ...common,
    kind: z.literal('drain'),
    steps: whole,
    count: whole,
    holdXmin: z.boolean().optional(),
    // The rest is for our own system alone.
    organizations: whole.optional(),
    enabled: whole.optional(),
    guideDefaults: z.boolean().optional(),
  }),
  z.object({ ...common, kind: z.literal('enqueue-one'), count: whole }),
  z.object({ ...common, kind: z.literal('enqueue-batches'), count: whole, batch: whole }),
  z.object({ ...common, kind: z.literal('latency-idle'), samples: whole, warmUp: whole }),
  /** `rate`: executions a second, or half of what the system sustains one by one. */
  z.object({ ...common, kind: z.literal('latency-load'), seconds: z.number(), rate: z.union([whole, z.literal('half')]) }),
  z.object({ ...common, kind: z.literal('idle'), seconds: z.number() }),
  z.object({ ...common, kind: z.literal('backlog'), count: whole, rounds: whole, isFilled: z.boolean().optional() }),
  z.object({ ...common, kind: z.literal('claims'), backlog: whole, claims: whole, isFilled: z.boolean().optional() }),
  z.object({ ...common, kind: z.literal('tick'), enabled: whole, ticks: whole }),
  z.object({ ...common, kind: z.literal('fill'), count: whole }),
  z.object({ ...common, kind: z.literal('sizes'), count: whole }),
  z.object({ ...common, kind: z.literal('bystander'), count: whole, secondsAlone: z.number() }),
  z.object({
    ...common,
    kind: z.literal('sides'),
    count: whole,
    rounds: whole,
    sides: z.array(
      z.object({
        title: z.string(),
        /** Enqueued for tomorrow. */
        sleeping: whole.optional(),
        /** So many suspended in a sleep, and as many waiting for an event. */
        suspended: whole.optional(),
      }),
    ),
  }),
  z.object({ ...common, kind: z.literal('executors'), count: whole, executors: whole }),
  /** `share`: of the full size of what the other does, 0 to 1. */
  z.object({ ...common, kind: z.literal('neighbour'), rounds: whole, seconds: z.number(), share: z.number() }),
  // Processes that a case starts beside itself.
  z.object({ ...common, kind: z.literal('beside: probe') }),
  z.object({ ...common, kind: z.literal('beside: executor'), count: whole }),
  z.object({ ...common, kind: z.literal('beside: worst'), way: z.string(), share: z.number() }),
])

export type Spec = z.infer<typeof specSchema>
export type SpecOf<Kind extends Spec['kind']> = Extract<Spec, { kind: Kind }>

export const measurementSchema = z.object({ case: z.string(), value: z.number(), unit: z.string() })
export type Measurement = z.infer<typeof measurementSchema>

/** What a system says of itself. `missing` is why it can't run here. */
export const descriptionSchema = z.object({
  name: z.enum(systemNames),
  version: z.string(),
  settings: z.string(),
  steps: z.array(z.number()),
  missing: z.string().optional(),
})
export type Description = z.infer<typeof descriptionSchema>
