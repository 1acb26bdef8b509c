create or replace function public.fw_obstacles(p_organization_id uuid, p_workflow text)
returns table (obstacle text, detail text, hint text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select 'paused', 'the worker as a whole is paused', 'select fw_resume() goes on; select * from fw_health() says who paused it.'
  where public.fw_is_paused()
  union all
  select 'organization_disabled', format('the worker of organization %s is disabled', p_organization_id),
    format('select fw_save_worker_settings(%L, true) enables it.', p_organization_id)
  -- The first enqueue makes the row; before that transaction commits nobody else sees it.
  where not coalesce(
    (select s.fw_execution_worker_enabled from public.fw_module_settings s where s.organization_id = p_organization_id),
    (select c.enable_new_organizations from public.fw_worker_config c), false)
  union all
  select 'no_executor', format('no live executor runs workflow %L', p_workflow), 'Start an executor that has it: fw run <module>.'
  where p_workflow <> all (public.fw_live_workflows())
  union all
  select 'slots_full', format('all places of organization %s are taken: %s executions are in flight, and %s slots of %s may be',
      p_organization_id, used.open, s.fw_worker_concurrency, s.fw_worker_batch_size),
    'It starts when others have finished. fw_save_worker_settings gives the organization more slots (p_concurrency) or larger batches (p_batch_size).'
  from public.fw_module_settings s
  cross join lateral (
    select sum(r.open) as open from public.fw_worker_runs r
    where r.organization_id = s.organization_id and r.finished_at is null
      and r.semaphore_epoch = s.worker_semaphore_epoch and r.lease_expires_at > public.fw_now()
  ) used
  where s.organization_id = p_organization_id and s.fw_execution_worker_enabled
    and used.open >= s.fw_worker_batch_size * s.fw_worker_concurrency
$$;
comment on function public.fw_obstacles(uuid, text) is
  'What keeps executions of a workflow of an organization from starting just now, a row for each thing: paused, organization_disabled, no_executor or slots_full, in words, with what to do about it. No row when nothing does.';
