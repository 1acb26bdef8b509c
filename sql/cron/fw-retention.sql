-- Retention, a little at a time, every 15 minutes.
insert into public.fw_jobs as j (name, schedule, period, at, command, purpose) values (
  'fw-retention', '*/15 * * * *', '15 minutes', '0', 'select public.fw_apply_retention()',
  'deletes what is older than its retention: finished executions, batches, ticks, notices, the history of these jobs'
) on conflict (name) do update set
  schedule = excluded.schedule, period = excluded.period, at = excluded.at, command = excluded.command, purpose = excluded.purpose;
