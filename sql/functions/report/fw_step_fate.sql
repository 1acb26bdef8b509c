create or replace function public.fw_step_fate(
  p_executor_id uuid, p_execution_id uuid, p_batch_id uuid, p_name text, p_backend_pid integer default null, p_transaction_id text default null
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise invalid_transaction_state using
      message = format('what became of a step cannot be found out in a transaction that is %s', upper(current_setting('transaction_isolation'))),
      detail = 'It has to see what was committed while it waited for the lock.',
      hint = 'Begin with: begin isolation level read committed.';
  end if;
  if p_transaction_id !~ '^[0-9]{1,18}$' then
    raise invalid_parameter_value using
      message = format('p_transaction_id is %L, which is no number of a transaction', left(p_transaction_id, 100)),
      hint = 'Pass what pg_current_xact_id() gave in that transaction, or NULL.';
  end if;
  -- A session that still waits for a commit that was lost on its way: nobody will send it again.
  perform pg_terminate_backend(a.pid) from pg_stat_activity a
  where a.pid = p_backend_pid and a.datname = current_database() and a.backend_xid = p_transaction_id::xid8::xid
    and a.state in ('idle in transaction', 'idle in transaction (aborted)');
  -- fw_checkpoint locks the batch until its transaction ends, so who has the lock now sees what became of that.
  if cardinality(public.fw_lock_leases(p_executor_id, array[p_batch_id])) = 0 then
    return 'fenced';
  end if;
  if exists (
    select from public.fw_execution_steps s
    where s.execution_id = any (array[p_execution_id]) and s.node_id = p_name and s.status = 'completed'
  ) then
    return 'recorded';
  end if;
  return 'absent';
end
$$;
comment on function public.fw_step_fate(uuid, uuid, uuid, text, integer, text) is
  'For an executor whose commit after fw_checkpoint got no answer, asked on another connection: recorded when the step is there, absent when it is not and that transaction can no longer commit, fenced when the batch has lost its lease. It ends the session of the lost connection (process id and transaction id) when that waits for a commit. Must be READ COMMITTED. Raises 55P03 while the transaction goes on: ask again.';
