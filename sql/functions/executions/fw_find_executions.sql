create or replace function public.fw_find_executions(
  p_organization_id uuid, p_workflow text, p_statuses public.fw_execution_status[], p_before uuid, p_most integer
) returns setof uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_first constant integer := 5000;   -- looked at first, the newest, where no index has all that is asked for together
  c_few constant integer := 10000;    -- as many messages are looked through, rather than all executions
  c_live constant public.fw_execution_status[] := array['queued', 'running', 'waiting', 'retry_pending']::public.fw_execution_status[];
  c_ended_badly constant public.fw_execution_status[] := array['failed', 'timed_out', 'cancelled']::public.fw_execution_status[];
  v_before constant uuid := coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_live public.fw_execution_status[];
  v_bad public.fw_execution_status[];
  v_walked public.fw_execution_status[];   -- those of which there are so many that a walk finds them
  v_found uuid[];
  v_is_through boolean;
begin
  if p_organization_id is null then
    if p_workflow is null and p_statuses is null then
      return query select e.id from public.fw_workflow_executions e where e.id < v_before order by e.id desc limit p_most;
      return;
    end if;
    -- Often enough are among the newest.
    select array_agg(n.id order by n.id desc) filter (where (p_workflow is null or n.workflow_name = p_workflow) and (p_statuses is null or n.status = any (p_statuses))),
      count(*) < c_first
    into v_found, v_is_through
    from (
      select e.id, e.workflow_name, e.status from public.fw_workflow_executions e where e.id < v_before order by e.id desc limit c_first
    ) n;
    if v_is_through or cardinality(v_found) >= p_most then
      return query select f.id from unnest(v_found) with ordinality as f (id, place) order by f.place limit p_most;
      return;
    end if;
  end if;

  v_live := case when p_statuses && c_live then array(select s from unnest(p_statuses) as s where s = any (c_live)) end;
  v_bad := case when p_statuses && c_ended_badly then array(select s from unnest(p_statuses) as s where s = any (c_ended_badly)) end;
  v_walked := case when p_statuses is not null then array(select s from unnest(p_statuses) as s where s = 'completed') end;
  v_found := '{}';
  if v_live is not null then
    -- Live executions have a message each: where those are few, they are looked through.
    if p_organization_id is null then
      v_is_through := (select count(*) from (select from pgmq.q_workflow_execution_queue q limit c_few + 1) m) <= c_few;
    else
      v_is_through := (
        select count(*) from (
          select from pgmq.q_workflow_execution_queue q where ((q.message ->> 'organization_id') collate "C") = p_organization_id::text limit c_few + 1
        ) m) <= c_few;
    end if;
    if not v_is_through then
      v_walked := v_walked || v_live;
    elsif p_organization_id is null then
      v_found := array(
        select e.id
        from (select public.fw_to_uuid(q.message ->> 'execution_id') as id from pgmq.q_workflow_execution_queue q) m
        join public.fw_workflow_executions e on e.id = any (array[m.id])
        where e.id < v_before and e.status = any (v_live) and (p_workflow is null or e.workflow_name = p_workflow)
        order by e.id desc limit p_most);
    else
      v_found := array(
        select e.id
        from (
          select public.fw_to_uuid(q.message ->> 'execution_id') as id from pgmq.q_workflow_execution_queue q
          where ((q.message ->> 'organization_id') collate "C") = p_organization_id::text
        ) m
        join public.fw_workflow_executions e on e.id = any (array[m.id])
        where e.id < v_before and e.status = any (v_live) and e.organization_id = p_organization_id and (p_workflow is null or e.workflow_name = p_workflow)
        order by e.id desc limit p_most);
    end if;
  end if;

  if v_bad is not null then
    -- From organization to organization, along an index of what has an error.
    v_found := v_found || array(
      with recursive organization (id) as (
        select coalesce(p_organization_id, (select e.organization_id from public.fw_workflow_executions e where e.last_error is not null order by e.organization_id limit 1))
        union all
        select (select e.organization_id from public.fw_workflow_executions e
          where e.last_error is not null and e.organization_id > o.id order by e.organization_id limit 1)
        from organization o where o.id is not null and p_organization_id is null
      )
      select n.id from organization o
      cross join lateral (
        select e.id from public.fw_workflow_executions e
        where e.organization_id = o.id and e.last_error is not null and e.id < v_before and e.status = any (v_bad)
          and (p_workflow is null or e.workflow_name = p_workflow)
        order by e.id desc limit p_most
      ) n
      where o.id is not null
      order by n.id desc limit p_most);
  end if;

  if v_walked is null or v_walked <> '{}' then
    -- From pair to pair of organization and workflow, the newest of each.
    v_found := v_found || array(
      with recursive pair (organization_id, workflow_name) as (
        (select e.organization_id, e.workflow_name from public.fw_workflow_executions e
        where e.organization_id >= coalesce(p_organization_id, '00000000-0000-0000-0000-000000000000')
          and (p_workflow is null or p_organization_id is null or e.workflow_name = p_workflow)
        order by e.organization_id, e.workflow_name limit 1)
        union all
        select n.organization_id, n.workflow_name
        from pair p
        cross join lateral (
          select e.organization_id, e.workflow_name from public.fw_workflow_executions e
          where (e.organization_id, e.workflow_name) > (p.organization_id, p.workflow_name)
          order by e.organization_id, e.workflow_name limit 1
        ) n
        where (p_organization_id is null or (p.organization_id = p_organization_id and p_workflow is null))
      )
      select n.id from pair p
      cross join lateral (
        select e.id from public.fw_workflow_executions e
        where e.organization_id = p.organization_id and e.workflow_name = p.workflow_name and uuid_send(e.id) < uuid_send(v_before)
          and (v_walked is null or e.status = any (v_walked))
        -- The bytes have the order of the ids, and stand in the index.
        order by uuid_send(e.id) desc limit p_most
      ) n
      where (p_organization_id is null or p.organization_id = p_organization_id) and (p_workflow is null or p.workflow_name = p_workflow)
      order by n.id desc limit p_most);
  end if;
  return query select f.id from unnest(v_found) as f (id) order by f.id desc limit p_most;
end
$$;
comment on function public.fw_find_executions(uuid, text, public.fw_execution_status[], uuid, integer) is
  'Internal: ids of the newest executions that match every filter that is not NULL, by indexes: what has ended badly by those with an error, what is live by its messages where these are few, all else by organization and workflow.';
