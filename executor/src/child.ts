// What goes into a child execution and what comes out of it.
import { ChildFailedError, UsageError } from './errors.js'
import { toJsonText } from './json.js'
import type { Recorded } from './protocol.js'
import { parseInput, type Workflow } from './workflow.js'

/**
 * The JSON text of a child's input.
 * @throws UsageError when it does not fit the child's schema; NotJsonError
 */
export async function childInput<Input, Output>(workflow: Workflow<Input, Output>, input: Input): Promise<string> {
  const parsed = await parseInput(workflow, input)
  if (!parsed.success) throw new UsageError(`the input does not fit the schema of workflow '${workflow.name}', which was to be invoked`, { cause: parsed.error })
  return toJsonText(input, `the input of workflow '${workflow.name}'`)
}

/**
 * What was recorded of a child that has finished.
 * @throws ChildFailedError
 */
export function childOutput<Input, Output>(workflow: Workflow<Input, Output>, { output, nothing, child }: Recorded): Output {
  if (child !== undefined) throw new ChildFailedError(workflow.name, { ...child, error: child.error ?? null, category: child.category ?? null })
  return (nothing === true ? undefined : output) as Output
}
