// What the tests of replay share: pauses, workflows that fail an attempt once, and looks at what is parked.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { Context } from '../../src/context.js'
import { workflow, type Workflow } from '../../src/workflow.js'
import { until } from '../support/executor.js'
import type { Queryable } from '../support/sql.js'

/** For steps: takes so long. */
export const pause = (milliseconds: number): Promise<void> => sleep(milliseconds)

/** A workflow of any input that is tried again at once. */
export const flow = <Output>(name: string, handler: (ctx: Context, input: unknown) => Output | Promise<Output>, maxAttempts = 5): Workflow<unknown, Output> =>
  workflow({ name, input: z.unknown(), retry: { maxAttempts, backoff: { initial: 0 } } }, handler)

export interface Parked {
  recorded: string
  asked: string
  reason: string
  tries: number
  executor: string
}

/** Waits until the execution is parked. */
export async function untilParked(on: Queryable, executionId: string): Promise<Parked> {
  let found: Parked | undefined
  await until(`${executionId} is parked`, async () => {
    [found] = await on.query<Parked & Record<string, unknown>>('select * from public.fw_parked where execution_id = $1', [executionId])
    return found !== undefined
  })
  if (found === undefined) throw new Error('it is not parked')
  return found
}
