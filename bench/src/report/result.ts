// What the bench has found out: the median of a case's repetitions, or why there is none.
import type { SystemName } from '../systems/system.ts'

export interface Result {
  readonly system: SystemName
  readonly case: string
  /** Median of the repetitions; null where it could not be taken. */
  readonly value: number | null
  readonly unit: string
  /** Each repetition's. */
  readonly values: readonly number[]
  /** Why there is no value. */
  readonly error?: string
}

export function valueOf(results: readonly Result[], system: SystemName, title: string): number | undefined {
  return results.find((each) => each.system === system && each.case === title)?.value ?? undefined
}

/** Each repetition's; none where it was not measured. */
export function valuesOf(results: readonly Result[], system: SystemName, title: string): readonly number[] {
  return results.find((each) => each.system === system && each.case === title)?.values ?? []
}
