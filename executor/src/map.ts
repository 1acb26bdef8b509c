// The parts of ctx.map: its limits, and running steps some at a time.
import { UsageError } from './errors.js'

export const MAP_ITEMS_LIMIT = 10_000

/** @throws UsageError for too many items, or a concurrency out of range */
export function checkMap(count: number, concurrency: number): void {
  if (count > MAP_ITEMS_LIMIT) throw new UsageError(`map takes at most ${MAP_ITEMS_LIMIT} items (MAP_ITEMS_LIMIT), not ${count}; map over pages of them`)
  if (!Number.isInteger(concurrency) || concurrency < 1) throw new UsageError(`the concurrency of map is ${concurrency}; allowed are whole numbers from 1`)
}

export function placeAt<Place>(places: readonly Place[], index: number): Place {
  const place = places[index]
  if (place === undefined) throw new RangeError(`there is no place ${index}`)
  return place
}

/** Runs the work for each item, so many at a time; after the first failure no more is started. */
export async function mapSteps<Item, Output>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item, index: number) => Promise<Output>,
): Promise<Output[]> {
  const results = new Array<Output>(items.length)
  let next = 0
  let failed = false
  const lane = async () => {
    while (!failed && next < items.length) {
      const index = next++
      try {
        results[index] = await work(items[index] as Item, index)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, lane))
  return results
}
