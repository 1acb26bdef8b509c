create or replace function public.fw_refuse_unknown_execution(p_execution_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'FW005', message = format('there is no execution %s', coalesce(p_execution_id::text, 'NULL')),
    detail = 'Nothing was changed.', hint = 'select id from fw_list_executions() lists the newest executions.';
end
$$;
comment on function public.fw_refuse_unknown_execution(uuid) is 'Internal: raises the error of an execution that is not there.';
