// Hands a number of executions to a peer in calls of a given size, a few calls in flight at once.

/** Calls in flight: what two producers would have. */
const LANES = 2

/** Calls `send(first, size)` until `count` is handed over, `batch` at a time; markers are 0 to count - 1. */
export async function inBatches(
  count: number,
  batch: number,
  send: (first: number, size: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const first = next
      next = Math.min(count, first + batch)
      await send(first, next - first)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}
