create or replace function public.fw_discard_dead_letters() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'TRUNCATE' then
    update public.fw_workflow_executions e set dlq_msg_id = null, discarded_at = public.fw_now() where e.dlq_msg_id is not null;
  else
    update public.fw_workflow_executions e set dlq_msg_id = null, discarded_at = public.fw_now()
    from discarded d where e.dlq_msg_id = d.msg_id;
  end if;
  return null;
end
$$;
comment on function public.fw_discard_dead_letters() is
  'Trigger of the dead-letter queue: however a dead letter is deleted, purged or archived, its execution knows that it was discarded.';

create or replace trigger fw_discard_dead_letters
  after delete on pgmq.q_workflow_dlq
  referencing old table as discarded
  for each statement execute function public.fw_discard_dead_letters();
create or replace trigger fw_discard_all_dead_letters
  after truncate on pgmq.q_workflow_dlq
  for each statement execute function public.fw_discard_dead_letters();
