-- Retention, in short transactions as long as there is something to delete, every two minutes.
insert into public.fw_jobs as j (name, schedule, period, at, command, purpose) values (
  'fw-retention', '*/2 * * * *', '2 minutes', '0', 'call public.fw_keep_retention()',
  'deletes what is older than its retention: finished executions, batches, events, ticks, notices, the history of these jobs'
) on conflict (name) do update set
  schedule = excluded.schedule, period = excluded.period, at = excluded.at, command = excluded.command, purpose = excluded.purpose;
