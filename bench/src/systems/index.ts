// Systems by their names. A system is loaded only in the process that runs it.
import type { System, SystemName } from './system.ts'

interface SystemModule {
  readonly system: System
  /** Why the system can't run here, if it can't. */
  readonly missing?: () => string | undefined
}

const modules: Record<SystemName, () => Promise<SystemModule>> = {
  'durable-execution-worker': () => import('./durable-execution-worker.ts'),
  'graphile-worker': () => import('./graphile-worker.ts'),
  'pg-boss': () => import('./pg-boss.ts'),
  dbos: () => import('./dbos.ts'),
  absurd: () => import('./absurd.ts'),
  pgmq: () => import('./pgmq.ts'),
}

export function loadSystem(name: SystemName): Promise<SystemModule> {
  return modules[name]()
}
