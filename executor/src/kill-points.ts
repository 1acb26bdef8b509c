// The points at which a test can end the process: before and after each write to the database. In production nobody listens,
// and a point is nothing but the write.

export const KILL_POINTS = [
  'fw_register_executor',
  'fw_stop_executor',
  'fw_claim_batches',
  'fw_take_batch',
  'fw_report',
  'fw_report_failures',
  'fw_suspend',
  'fw_begin_waits',
  'fw_park',
  'fw_record_compensation',
  'fw_note_progress',
  'fw_release',
  'fw_extend_leases',
  'fw_match_events',
  'fw_take_due_jobs',
  'fw_checkpoint',
  'commit',
  'job',
] as const
export type KillPoint = (typeof KILL_POINTS)[number]

type Listener = (point: KillPoint, when: 'before' | 'after') => void

let listener: Listener | undefined

/** For tests: calls this at every point from now on. */
export function onKillPoint(listen: Listener): void {
  listener = listen
}

/** Sends a write. */
export function write<Answer>(point: KillPoint, send: () => Promise<Answer>): Promise<Answer> {
  return listener === undefined ? send() : between(listener, point, send)
}

async function between<Answer>(listen: Listener, point: KillPoint, send: () => Promise<Answer>): Promise<Answer> {
  listen(point, 'before')
  const answer = await send()
  listen(point, 'after')
  return answer
}
