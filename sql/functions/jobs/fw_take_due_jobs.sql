create or replace function public.fw_take_due_jobs(p_executor_id uuid) returns table (name text, command text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if public.fw_pg_cron_is_in_charge() then
    return;
  end if;
  -- Whoever marks a job as started runs it; the mark of one that died with it is passed by the next period.
  return query
    with due as (
      select j.name from public.fw_jobs j
      -- By numbers, which any period and time of day can be brought to: what somebody has set for one job must not hinder the others.
      cross join lateral (
        select least(greatest(extract(epoch from j.period), 1), 86400 * 366) as seconds,
          extract(epoch from timestamptz '2000-01-01 00:00:00+00')
            + case when j.at between interval '-1 year' and interval '1 year' then extract(epoch from j.at) else 0 end as origin
      ) p
      where public.fw_job_command(j.name) is not null
        and exists (select from public.fw_executors x where x.id = p_executor_id and x.stopped_at is null)
        and (j.has_more or j.last_started_at is null
          or j.last_started_at < to_timestamp((floor((extract(epoch from public.fw_now()) - p.origin) / p.seconds) * p.seconds + p.origin)::double precision)
          -- No clock is wrong by so much: somebody has set it.
          or j.last_started_at > public.fw_now() + interval '7 days')
      order by j.name
      for no key update of j skip locked
    ), marked as (
      update public.fw_jobs j set last_started_at = public.fw_now(), has_more = false from due where j.name = due.name
      returning j.name, public.fw_job_command(j.name) as command, j.period
    )
    select m.name, m.command from marked m order by m.period, m.name;
end
$$;
comment on function public.fw_take_due_jobs(uuid) is
  'Hands the jobs that are due, and that pg_cron does not run, to one executor: each is marked as started, so no other gets it in this period, unless it stops before all is done (has_more). The executor then runs them by their names (fw_run_job); those of older versions run the command.';
