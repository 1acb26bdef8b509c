-- The tick, every minute: the safety net under everything that a lost NOTIFY, a dead executor or a disabled poll leaves behind.
insert into public.fw_jobs as j (name, schedule, period, at, command, purpose) values (
  'process-workflow-queue', '* * * * *', '1 minute', '0', 'select public.fw_worker_tick()',
  'ends batches whose lease has run out, and offers waiting work to executors that have room'
) on conflict (name) do update set
  schedule = excluded.schedule, period = excluded.period, at = excluded.at, command = excluded.command, purpose = excluded.purpose;
