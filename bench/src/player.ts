// Plays one case of one system and prints what it measured, a JSON line each. Arguments: the spec as JSON, the URL of
// its database or databases.
import { playBacklog, playFill } from './cases/backlog.ts'
import { playBystander, probe } from './cases/bystander.ts'
import { playClaims } from './cases/claims.ts'
import { describeSystem } from './cases/describe.ts'
import { playDrain } from './cases/drain.ts'
import { playEnqueueBatches, playEnqueueOne } from './cases/enqueue.ts'
import { executeBeside, playExecutors } from './cases/executors.ts'
import { playIdle } from './cases/idle.ts'
import { playLatencyAtLoad, playLatencyIdle } from './cases/latency.ts'
import { doWorst, playNeighbour } from './cases/neighbour.ts'
import { playSides } from './cases/sides.ts'
import { playSizes } from './cases/sizes.ts'
import { playTick } from './cases/tick.ts'
import { type Description, type Measurement, type Spec, specSchema } from './cases/spec.ts'

const [specText, ...urls] = process.argv.slice(2)
const [url = ''] = urls
const spec = specSchema.parse(JSON.parse(specText ?? ''))
for (const line of await play(spec)) process.stdout.write(`${JSON.stringify(line)}\n`)
if (process.connected) process.disconnect()
// Whatever a system has left open (timers, pools) must not keep the run waiting; its work is over.
process.stdout.end(() => process.exit())

async function play(spec: Spec): Promise<(Measurement | Description)[]> {
  switch (spec.kind) {
    case 'describe':
      return [await describeSystem(spec)]
    case 'drain':
      return await playDrain(spec, url)
    case 'enqueue-one':
      return await playEnqueueOne(spec, url)
    case 'enqueue-batches':
      return await playEnqueueBatches(spec, url)
    case 'latency-idle':
      return await playLatencyIdle(spec, url)
    case 'latency-load':
      return await playLatencyAtLoad(spec, url)
    case 'idle':
      return await playIdle(spec, url)
    case 'backlog':
      return await playBacklog(spec, url)
    case 'claims':
      return await playClaims(spec, url)
    case 'tick':
      return await playTick(spec, url)
    case 'fill':
      return await playFill(spec, url)
    case 'sizes':
      return await playSizes(spec, url)
    case 'bystander':
      return await playBystander(spec, url)
    case 'sides':
      return await playSides(spec, urls)
    case 'executors':
      return await playExecutors(spec, url)
    case 'neighbour':
      return await playNeighbour(spec, url)
    case 'beside: probe':
      return await probe(url)
    case 'beside: executor':
      return await executeBeside(spec, url)
    case 'beside: worst':
      return await doWorst(spec, url)
  }
}
