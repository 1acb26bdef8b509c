-- The timeout watchdog, every 5 minutes.
insert into public.fw_jobs as j (name, schedule, period, at, command, purpose) values (
  'workflow-timeout-watchdog', '*/5 * * * *', '5 minutes', '0', 'select public.fw_check_deadlines()',
  'ends executions that have missed their deadline, and warns of those that are near'
) on conflict (name) do update set
  schedule = excluded.schedule, period = excluded.period, at = excluded.at, command = excluded.command, purpose = excluded.purpose;
