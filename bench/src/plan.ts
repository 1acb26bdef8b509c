// What is run, in which order, how much of it and how often. The tasks of a group are what is compared with each other: they
// take turns (A B C, C B A, …), because the speed of a machine changes from minute to minute.
import type { Description, Spec } from './cases/spec.ts'
import { type Mode, type Sizes, sizesOf } from './sizes.ts'
import type { SystemName } from './systems/system.ts'

export interface Task {
  readonly spec: Spec
  /** For each of its databases, one if none is said: the database that it is a copy of, as an earlier task kept it. */
  readonly from?: readonly (string | undefined)[]
  /** The name under which its database is kept. */
  readonly keep?: string
  readonly limitSeconds: number
}

export interface Group {
  readonly name: string
  readonly repetitions: number
  readonly tasks: readonly Task[]
}

/** Cases that ratios are made of. */
export interface Titles {
  readonly bare: string
  readonly oneStep: string
  readonly threeSteps: string
  /** By how many are drained. */
  readonly lengths: ReadonlyMap<number, string>
  readonly guideDefaults: string
  readonly batches: string
  readonly idleLatency: string
  readonly shortBacklog: string
  readonly deepBacklog: string
  readonly organizations: (count: number) => string
  readonly tenAlone: string
  readonly tenAmongMany: string
  readonly alone: string
  readonly besideSleeping: string
  readonly besideSuspended: string
  readonly besideFinished: string
  readonly noXmin: string
  readonly xmin: string
  readonly shortClaim: string
  readonly deepClaim: string
  readonly idle: string
  readonly tickAlone: string
  readonly tickAmongMany: string
  readonly neighbour: string
}

const OURS: SystemName = 'durable-execution-worker'
const BATCH = 1000
const CLAIMS = 100
const TICKS = 20
/** A rate that the slowest system bears. */
const SAME_LOAD = 100
/** Each of them does some hundreds a second. */
const SLOW: readonly SystemName[] = ['dbos', 'absurd']

export function plan(mode: Mode, systems: readonly Description[]): { groups: Group[]; titles: Titles } {
  const sizes = sizesOf[mode]
  const titles = titlesOf(sizes)
  const peers = systems.filter(({ name }) => name !== OURS)
  const groups = [
    ...shared(sizes, titles, systems, peers),
    ...(systems.some(({ name }) => name === OURS) ? ours(sizes, titles) : []),
  ]
  const { limitSeconds } = sizes
  return {
    titles,
    groups: groups
      .filter(({ tasks }) => tasks.length > 0)
      .map((group) => ({ ...group, tasks: group.tasks.map((each) => ({ ...each, limitSeconds })) })),
  }
}

function titlesOf({ backlogs, lengths, organizations, sleeping, suspended, finished, xmin }: Sizes): Titles {
  const [short = 0, deep = 0] = [backlogs[0]?.count, backlogs.at(-1)?.count]
  const many = Math.max(...organizations)
  const held = xmin[OURS] ?? 0
  return {
    bare: 'drain, bare jobs',
    oneStep: 'drain, 1 step',
    threeSteps: 'drain, 3 steps',
    lengths: new Map(lengths.map((count) => [count, `drain of ${count}, bare jobs (ours: 1 step)`])),
    guideDefaults: "drain, 1 step, the guide's defaults (batch 10, one slot)",
    batches: `enqueue in batches of ${BATCH}`,
    idleLatency: 'latency enqueue to start, idle',
    shortBacklog: `drain of a backlog of ${short}, warm`,
    deepBacklog: `drain of a backlog of ${deep}, warm`,
    organizations: (count) => `drain, organizations with work: ${count}`,
    tenAlone: 'drain, 10 organizations, alone',
    tenAmongMany: `drain, 10 organizations among ${many} enabled`,
    alone: 'drain, nothing beside',
    besideSleeping: `drain, ${sleeping} sleeping beside`,
    besideSuspended: `drain, ${suspended} suspended in sleeps and ${suspended} waiting for events beside`,
    besideFinished: `drain, ${finished} finished beside`,
    noXmin: `drain of ${held}, xmin free`,
    xmin: `drain of ${held}, xmin held elsewhere`,
    shortClaim: `claim of 50, backlog ${Math.max(short, 50 * CLAIMS)}`,
    deepClaim: `claim of 50, backlog ${deep}`,
    idle: 'idle',
    tickAlone: 'tick, work of 10 organizations, alone',
    tickAmongMany: `tick, work of 10 organizations among ${many} enabled`,
    neighbour: 'beside an organization that does its worst',
  }
}

type PlannedTask = Omit<Task, 'limitSeconds'>
interface PlannedGroup extends Omit<Group, 'tasks'> {
  readonly tasks: readonly PlannedTask[]
}

const task = (spec: Spec, rest: Omit<PlannedTask, 'spec'> = {}): PlannedTask => ({ spec, ...rest })

function shared(sizes: Sizes, titles: Titles, systems: readonly Description[], peers: readonly Description[]): PlannedGroup[] {
  const drains = (steps: number, title: string) =>
    systems
      .filter((system) => system.steps.includes(steps))
      .map(({ name }) => {
        const ownCount = steps === 3 ? sizes.own.three : steps === 10 ? sizes.own.ten : sizes.drain[name]
        const count = name === OURS ? ownCount : Math.ceil(sizes.drain[name] / (steps === 10 ? 4 : steps === 3 ? 2 : 1))
        return task({ kind: 'drain', system: name, title, steps, count })
      })
  const names = systems.map(({ name }) => name)
  const compared = names.filter((name) => name === OURS || name === 'graphile-worker')
  const others = peers.map(({ name }) => name).filter((name) => name !== 'graphile-worker' && sizes.everywhere === 'all')
  const everywhere = sizes.everywhere === 'all' ? names : sizes.everywhere === 'compared' ? compared : names.filter((name) => name === OURS)
  const batches = (system: SystemName) =>
    task({ kind: 'enqueue-batches', system, title: titles.batches, batch: BATCH, count: SLOW.includes(system) ? sizes.batchesSlow : sizes.batches })
  const latency = (system: SystemName, samples: number) =>
    task({ kind: 'latency-idle', system, title: titles.idleLatency, samples, warmUp: Math.min(sizes.samples.warmUp, samples) })
  const load = (title: string, rate: number | 'half') =>
    everywhere.map((system) => task({ kind: 'latency-load', system, title, seconds: sizes.loadSeconds, rate }))
  const xmin = (system: SystemName) => {
    const count = sizes.xmin[system]
    if (count === undefined) return []
    const drain = { kind: 'drain', system, steps: system === OURS ? 1 : 0, count } as const
    return [
      task({ ...drain, title: `drain of ${count}, xmin free` }),
      task({ ...drain, title: `drain of ${count}, xmin held elsewhere`, holdXmin: true }),
    ]
  }
  const idle = (system: SystemName) => task({ kind: 'idle', system, title: titles.idle, seconds: sizes.idleSeconds })

  return [
    {
      name: 'drain',
      repetitions: sizes.repetitions,
      tasks: [
        ...drains(1, titles.oneStep),
        ...drains(0, titles.bare),
        ...drains(3, titles.threeSteps),
        ...(names.includes(OURS)
          ? [task({ kind: 'drain', system: OURS, title: titles.guideDefaults, steps: 1, count: sizes.own.defaults, guideDefaults: true })]
          : []),
      ],
    },
    {
      name: 'drain, shorter and longer',
      repetitions: sizes.repetitions,
      tasks: [...titles.lengths].flatMap(([count, title]) =>
        compared.map((system) => task({ kind: 'drain', system, title, steps: system === OURS ? 1 : 0, count })),
      ),
    },
    { name: 'drain, many steps', repetitions: sizes.seldom, tasks: drains(10, 'drain, 10 steps').filter(({ spec }) => everywhere.includes(spec.system)) },
    { name: 'latency, idle', repetitions: sizes.repetitions, tasks: compared.map((name) => latency(name, sizes.samples.ours)) },
    { name: 'latency, idle, other peers', repetitions: sizes.seldom, tasks: others.map((name) => latency(name, sizes.samples.others)) },
    {
      name: 'latency under load',
      repetitions: sizes.seldom,
      tasks: [
        ...load('latency enqueue to start, half load', 'half'),
        ...(sizes.everywhere === 'all' ? load(`latency enqueue to start, ${SAME_LOAD} a second`, SAME_LOAD) : []),
      ],
    },
    { name: 'enqueue in batches', repetitions: sizes.repetitions, tasks: compared.map(batches) },
    { name: 'enqueue in batches, other peers', repetitions: sizes.seldom, tasks: others.map(batches) },
    {
      name: 'enqueue one by one',
      repetitions: sizes.seldom,
      tasks: names.map((system) =>
        task({ kind: 'enqueue-one', system, title: 'enqueue', count: SLOW.includes(system) ? sizes.enqueuesSlow : sizes.enqueues }),
      ),
    },
    { name: 'xmin', repetitions: sizes.close, tasks: names.filter((name) => name === OURS).flatMap(xmin) },
    { name: 'xmin, peers', repetitions: sizes.seldom, tasks: peers.flatMap(({ name }) => xmin(name)) },
    {
      name: 'bystander',
      repetitions: sizes.seldom,
      tasks: (sizes.everywhere === 'ours' ? everywhere : compared).map((system) =>
        task({
          kind: 'bystander',
          system,
          title: "a bystander's query",
          count: system === OURS ? sizes.bystander : Math.ceil(sizes.bystander / 2),
          secondsAlone: sizes.bystanderAlone,
        }),
      ),
    },
    { name: 'idle', repetitions: sizes.repetitions, tasks: names.filter((name) => name === OURS).map(idle) },
    { name: 'idle, peers', repetitions: sizes.seldom, tasks: everywhere.filter((name) => name !== OURS).map(idle) },
  ]
}

function ours(sizes: Sizes, titles: Titles): PlannedGroup[] {
  const drain = (title: string, count: number, rest: Partial<Extract<Spec, { kind: 'drain' }>> = {}) =>
    task({ kind: 'drain', system: OURS, title, steps: 1, count, ...rest })
  const deepest = sizes.backlogs.at(-1)?.count ?? 0
  const many = Math.max(...sizes.organizations)
  return [
    {
      name: 'organizations',
      repetitions: sizes.repetitions,
      tasks: sizes.organizations.map((count) => drain(titles.organizations(count), sizes.spread, { organizations: count })),
    },
    {
      name: 'ten among many',
      repetitions: sizes.close,
      tasks: [
        drain(titles.tenAlone, sizes.spread, { organizations: 10 }),
        drain(titles.tenAmongMany, sizes.spread, { organizations: 10, enabled: many }),
      ],
    },
    {
      name: 'tick',
      repetitions: sizes.repetitions,
      tasks: [
        task({ kind: 'tick', system: OURS, title: titles.tickAlone, enabled: 10, ticks: TICKS }),
        task({ kind: 'tick', system: OURS, title: titles.tickAmongMany, enabled: many, ticks: TICKS }),
      ],
    },
    {
      name: 'kept: the deepest backlog',
      repetitions: 1,
      tasks: [task({ kind: 'fill', system: OURS, title: `backlog of ${deepest}`, count: deepest }, { keep: 'backlog' })],
    },
    {
      name: 'backlogs',
      repetitions: sizes.repetitions,
      tasks: sizes.backlogs.map(({ count, rounds }) => {
        const isFilled = count === deepest
        const title = `drain of a backlog of ${count}, warm`
        return task({ kind: 'backlog', system: OURS, title, count, rounds, isFilled }, isFilled ? { from: ['backlog'] } : {})
      }),
    },
    {
      name: 'claims',
      repetitions: sizes.repetitions,
      tasks: [
        task({ kind: 'claims', system: OURS, title: titles.shortClaim, backlog: Math.max(sizes.backlogs[0]?.count ?? 0, 50 * CLAIMS), claims: CLAIMS }),
        task({ kind: 'claims', system: OURS, title: titles.deepClaim, backlog: deepest, claims: CLAIMS, isFilled: true }, { from: ['backlog'] }),
      ],
    },
    {
      name: 'after many',
      repetitions: 1,
      tasks: [task({ kind: 'sizes', system: OURS, title: `after ${sizes.finished} executions`, count: sizes.finished }, { keep: 'finished' })],
    },
    {
      name: 'beside',
      repetitions: 1,
      tasks: [
        task(
          {
            kind: 'sides',
            system: OURS,
            title: 'drain, with and without others beside',
            count: sizes.beside.count,
            rounds: sizes.beside.rounds,
            sides: [
              { title: titles.alone },
              { title: titles.besideSleeping, sleeping: sizes.sleeping },
              { title: titles.besideSuspended, suspended: sizes.suspended },
              { title: titles.besideFinished },
            ],
          },
          { from: [undefined, undefined, undefined, 'finished'] },
        ),
      ],
    },
    {
      name: 'neighbour',
      repetitions: 1,
      tasks: [task({ kind: 'neighbour', system: OURS, title: titles.neighbour, ...sizes.neighbour })],
    },
    {
      name: 'executors',
      repetitions: sizes.seldom,
      tasks: [1, 2].map((executors) =>
        task({
          kind: 'executors',
          system: OURS,
          title: executors === 1 ? `1 executor, drain of ${sizes.executors}` : `${executors} executors, drain of ${sizes.executors}`,
          count: sizes.executors,
          executors,
        }),
      ),
    },
  ]
}
