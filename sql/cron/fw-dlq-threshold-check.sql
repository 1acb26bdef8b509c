-- The alert on the depth of the dead-letter queue, every 5 minutes.
insert into public.fw_jobs as j (name, schedule, period, at, command, purpose) values (
  'fw-dlq-threshold-check', '*/5 * * * *', '5 minutes', '0', 'select public.fw_check_dlq_threshold()',
  'gives a notice where dead letters pile up'
) on conflict (name) do update set
  schedule = excluded.schedule, period = excluded.period, at = excluded.at, command = excluded.command, purpose = excluded.purpose;
