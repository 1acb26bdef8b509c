create or replace function public.fw_sequences(p_all boolean default false) returns table (name text, sequence regclass, last_value bigint, highest bigint)
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
  -- A role that may not read a sequence learns nothing of it, and no error keeps it from the others.
  select s.name, s.sequence, case when has_sequence_privilege(s.sequence, 'usage, select') then coalesce(pg_sequence_last_value(s.sequence), 0) end, s.highest
  from (
    values
      ('pgmq.q_workflow_execution_queue.msg_id', 'pgmq.q_workflow_execution_queue_msg_id_seq'::regclass, greatest(
        (select max(q.msg_id) from pgmq.q_workflow_execution_queue q), (select max(a.msg_id) from pgmq.a_workflow_execution_queue a),
        -- Numbers of messages that are gone stand in their executions, without an index: those of the newest are the highest.
        case when p_all then (select max(e.msg_id) from public.fw_workflow_executions e)
          else (select max(newest.msg_id) from (select e.msg_id from public.fw_workflow_executions e order by e.id desc limit 100) newest) end)),
      ('pgmq.q_workflow_dlq.msg_id', 'pgmq.q_workflow_dlq_msg_id_seq'::regclass, greatest(
        (select max(d.msg_id) from pgmq.q_workflow_dlq d), (select max(a.msg_id) from pgmq.a_workflow_dlq a),
        (select max(e.dlq_msg_id) from public.fw_workflow_executions e where e.dlq_msg_id is not null))),
      ('public.fw_worker_ticks.id', pg_get_serial_sequence('public.fw_worker_ticks', 'id')::regclass, (select max(t.id) from public.fw_worker_ticks t)),
      ('public.fw_notices.id', pg_get_serial_sequence('public.fw_notices', 'id')::regclass, (select max(n.id) from public.fw_notices n)),
      ('public.fw_unmatched_keys.id', pg_get_serial_sequence('public.fw_unmatched_keys', 'id')::regclass, (select max(u.id) from public.fw_unmatched_keys u))
  ) s (name, sequence, highest)
$$;
comment on function public.fw_sequences(boolean) is
  'Internal: the sequences that give numbers to messages and rows: what each gave last, NULL where the role may not know, and the highest number that is in use. p_all: of all executions, not only of the newest.';
