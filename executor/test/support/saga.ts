// A workflow of steps that note what is done and undone, for the tests of compensations.
import { z } from 'zod'
import type { CompensateOptions, Context } from '../../src/context.js'
import { workflow, type Workflow, type WorkflowOptions } from '../../src/workflow.js'
import type { Queryable } from './sql.js'

const nothing = z.object({})

export interface Saga {
  definition: Workflow<Record<string, never>>
  /** `do a`, `undo a1`, …: a step gives its name and a 1, and its compensation notes what it was given. */
  log: string[]
}

export interface SagaOptions extends Partial<Omit<WorkflowOptions<typeof nothing>, 'name' | 'input'>> {
  /** Default: a, b, c. */
  parts?: string[]
  /** Called in each compensation; what it throws fails that. */
  fails?: (step: string) => unknown
  compensateOptions?: CompensateOptions
  /** Where it is noted; sagas with one log are versions of one workflow. */
  log?: string[]
}

/** The steps, one after the other, and then whatever follows. Attempts: one, unless told otherwise. */
export function saga(name: string, then: (ctx: Context) => unknown, options: SagaOptions = {}): Saga {
  const { parts = ['a', 'b', 'c'], fails, compensateOptions = { retry: { maxAttempts: 1 } }, log = [], ...more } = options
  const definition = workflow({ name, input: nothing, retry: { maxAttempts: 1, backoff: { initial: 0 } }, ...more }, async (ctx) => {
    for (const part of parts) {
      await ctx.step(part, () => {
        log.push(`do ${part}`)
        return `${part}1`
      }, {
        compensate: async (result) => {
          await fails?.(part)
          log.push(`undo ${result}`)
        },
        compensateOptions,
      })
    }
    return await then(ctx)
  })
  return { definition, log }
}

export const undone = (log: readonly string[]): string[] => log.filter((line) => line.startsWith('undo '))

/** The state of each step of an execution. */
export const stepStates = async (on: Queryable, id: string): Promise<Record<string, string>> =>
  Object.fromEntries((await on.query<{ node_id: string; status: string }>('select node_id, status from public.fw_execution_steps where execution_id = $1', [id]))
    .map(({ node_id, status }) => [node_id, status]))
