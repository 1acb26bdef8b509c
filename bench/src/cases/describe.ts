// What a system says of itself: version, settings, step counts, and why it can't run here, if it can't.
import { loadSystem } from '../systems/index.ts'
import type { Description, SpecOf } from './spec.ts'

export async function describeSystem(spec: SpecOf<'describe'>): Promise<Description> {
  const { system, missing } = await loadSystem(spec.system)
  const reason = missing?.()
  const { name, version, settings, steps } = system
  return { name, version, settings, steps: [...steps], ...(reason === undefined ? {} : { missing: reason }) }
}
