-- The end of old dead letters, daily at 02:00. pg_cron counts in GMT unless cron.timezone says otherwise.
insert into public.fw_jobs as j (name, schedule, period, at, command, purpose) values (
  'fw-dlq-auto-discard', '0 2 * * *', '1 day', '2 hours', 'select public.fw_auto_discard_dlq()',
  'discards dead letters that are older than dlq_retention'
) on conflict (name) do update set
  schedule = excluded.schedule, period = excluded.period, at = excluded.at, command = excluded.command, purpose = excluded.purpose;
