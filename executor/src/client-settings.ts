// Saving the settings of an organization's worker, as Client.saveSettings() does.
import { z } from 'zod'
import type { ClientCalls } from './client-calls.js'
import type { SavedWorkerSettings, WorkerSettings } from './client-options.js'
import { type Duration, toMilliseconds } from './duration.js'
import { UsageError } from './errors.js'

const Saved = z.object({ enabled: z.boolean(), batchSize: z.int(), visibilityTimeoutMs: z.int(), concurrency: z.int() })

/** @throws UsageError, RefusedError */
export async function saveSettings(
  calls: ClientCalls,
  organizationId: string,
  { enabled, batchSize, visibilityTimeout, concurrency }: WorkerSettings,
): Promise<SavedWorkerSettings> {
  const given = Object.entries({
    p_batch_size: batchSize,
    p_visibility_timeout_seconds: visibilityTimeout === undefined ? undefined : toSeconds(visibilityTimeout),
    p_concurrency: concurrency,
  }).filter(([, value]) => value !== undefined)
  const named = given.map(([name], index) => `, ${name} => $${index + 3}`).join('')
  const row = await calls.change({
    text: `select s.fw_execution_worker_enabled as enabled, s.fw_worker_batch_size as "batchSize",
             s.fw_worker_visibility_timeout_seconds * 1000 as "visibilityTimeoutMs", s.fw_worker_concurrency as concurrency
           from public.fw_save_worker_settings($1, $2${named}) s`,
    values: [organizationId, enabled, ...given.map(([, value]) => value)],
  })
  return Saved.parse(row)
}

/** @throws UsageError for what is no duration of whole seconds */
function toSeconds(duration: Duration): number {
  const what = 'the visibility timeout'
  const seconds = toMilliseconds(duration, what) / 1000
  if (!Number.isInteger(seconds)) throw new UsageError(`${what} is '${duration}'; allowed are whole seconds`)
  return seconds
}
