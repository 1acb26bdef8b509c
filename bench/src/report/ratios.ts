// The ratios that the product is held to, each with its limit, from the values of this very run. Two cases are compared within a
// repetition, where they ran within seconds of each other, and the median of those ratios counts: the speed of a machine changes
// from minute to minute, and would be taken for a difference between them.
import type { Titles } from '../plan.ts'
import type { SystemName } from '../systems/system.ts'
import { median } from '../cases/measuring.ts'
import { type Result, valueOf, valuesOf } from './result.ts'

export interface Ratio {
  readonly title: string
  readonly value: number
  readonly unit: string
  /** What it is held to; none where it is only worth knowing. */
  readonly limit?: { readonly least: number } | { readonly most: number }
}

const OURS: SystemName = 'durable-execution-worker'

export function ratios(results: readonly Result[], titles: Titles): Ratio[] {
  const own = (title: string) => valuesOf(results, OURS, title)
  const peer = (system: SystemName, title: string) => valuesOf(results, system, title)
  const found: Ratio[] = []
  const ratio = (title: string, values: readonly number[], bases: readonly number[], limit?: Ratio['limit']) => {
    const value = medianRatio(values, bases)
    if (value !== undefined) found.push({ title, value, unit: '×', ...(limit === undefined ? {} : { limit }) })
  }

  ratio("1 step against graphile-worker's bare jobs", own(titles.oneStep), peer('graphile-worker', titles.bare), { least: 1 })
  for (const [count, title] of titles.lengths) {
    ratio(`1 step against graphile-worker's bare jobs, drains of ${count}`, own(title), peer('graphile-worker', title))
  }
  ratio("1 step against pg-boss' bare jobs", own(titles.oneStep), peer('pg-boss', titles.bare))
  ratio('1 step against raw pgmq', own(titles.oneStep), peer('pgmq', titles.bare))
  ratio('1 step against absurd', own(titles.oneStep), peer('absurd', titles.oneStep), { least: 25 })
  ratio('1 step against DBOS', own(titles.oneStep), peer('dbos', titles.oneStep), { least: 50 })
  ratio('3 steps against absurd', own(titles.threeSteps), peer('absurd', titles.threeSteps), { least: 25 })
  ratio('3 steps against DBOS', own(titles.threeSteps), peer('dbos', titles.threeSteps), { least: 40 })
  ratio('3 steps against our own 1 step', own(titles.threeSteps), own(titles.oneStep), { least: 0.5 })
  for (const point of ['p50', 'p99']) {
    const title = `${titles.idleLatency}, ${point}`
    ratio(`latency idle ${point} against graphile-worker`, own(title), peer('graphile-worker', title), { most: 1 })
  }
  ratio("enqueue in batches against graphile-worker's", own(titles.batches), peer('graphile-worker', titles.batches), { least: 1.5 })
  ratio(`${titles.deepBacklog}, against the short one`, own(titles.deepBacklog), own(titles.shortBacklog), { least: 0.8 })
  const one = own(titles.organizations(1))
  ratio('1000 organizations with work against 1', own(titles.organizations(1000)), one, { least: 0.8 })
  ratio('10000 organizations with work against 1', own(titles.organizations(10_000)), one, { least: 0.6 })
  ratio(`${titles.tenAmongMany}, against alone`, own(titles.tenAmongMany), own(titles.tenAlone), { least: 0.95 })
  ratio(`${titles.besideSleeping}, against nothing`, own(titles.besideSleeping), own(titles.alone), { least: 0.95 })
  ratio(`${titles.besideSuspended}, against nothing`, own(titles.besideSuspended), own(titles.alone), { least: 0.95 })
  ratio(`${titles.besideFinished}, against nothing`, own(titles.besideFinished), own(titles.alone), { least: 0.95 })
  ratio(`${titles.xmin}, against free`, own(titles.xmin), own(titles.noXmin), { least: 0.85 })
  for (const { system, case: title, values } of results) {
    if (system === OURS || !title.endsWith('xmin held elsewhere')) continue
    ratio(`${system}: ${title}, against free`, values, peer(system, title.replace('held elsewhere', 'free')))
  }
  ratio(`${titles.deepClaim}, p99 time against the short one's`, own(`${titles.deepClaim}, p99`), own(`${titles.shortClaim}, p99`), { most: 2 })
  ratio('tick with work of 10 organizations among many, against alone', own(titles.tickAmongMany), own(titles.tickAlone), { most: 2 })
  ratio("the guide's defaults against graphile-worker's bare jobs", own(titles.guideDefaults), peer('graphile-worker', titles.bare), { least: 0.15 })
  for (const { case: title, values } of results) {
    const [what, kind] = title.startsWith(`${titles.neighbour}: `) && title.endsWith(', ratio') ? title.slice(0, -', ratio'.length).split(', latency to ') : []
    if (what !== undefined && kind !== undefined) found.push({ title: `${what}: ${kind}, against alone`, value: median(values), unit: '×', ...(kind === 'start' ? { limit: { most: 2 } } : {}) })
  }
  const queries = valueOf(results, OURS, `${titles.idle}, queries`)
  if (queries !== undefined) found.push({ title: 'queries of an idle executor', value: queries / 60, unit: 'a second', limit: { most: 2 } })
  return found
}

/** Repetition by repetition; one of them that failed on either side leaves only the medians to compare. */
function medianRatio(values: readonly number[], bases: readonly number[]): number | undefined {
  if (values.length === 0 || bases.length === 0 || bases.includes(0)) return undefined
  if (values.length !== bases.length) return median(values) / median(bases)
  return median(values.map((value, repetition) => value / (bases[repetition] ?? Number.NaN)))
}

/** Whether it is where it should be; undefined without a limit. */
export function isReached({ value, limit }: Ratio): boolean | undefined {
  if (limit === undefined) return undefined
  return 'least' in limit ? value >= limit.least : value <= limit.most
}
