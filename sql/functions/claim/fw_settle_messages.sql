create or replace function public.fw_settle_messages(p_message_ids bigint[], p_live_workflows text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count constant integer := cardinality(p_message_ids);
  v_state text;
  v_reason text;
begin
  if v_count = 0 then
    return;
  end if;
  begin
    perform public.fw_settle_together(p_message_ids, p_live_workflows);
    return;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
    get stacked diagnostics v_state = returned_sqlstate, v_reason = message_text;
  end;
  -- By halves, until the one at fault stands alone: all others are settled.
  if v_count = 1 then
    perform public.fw_set_aside(p_message_ids[1], v_state, v_reason);
  else
    perform public.fw_settle_messages(p_message_ids[:v_count / 2], p_live_workflows);
    perform public.fw_settle_messages(p_message_ids[v_count / 2 + 1:], p_live_workflows);
  end if;
end
$$;
comment on function public.fw_settle_messages(bigint[], text[]) is
  'Internal: settles messages, which the caller has locked, as fw_settle_together does; where that fails for the data of one of them, this one is set aside and all others are settled.';
