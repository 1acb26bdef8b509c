create or replace function public.fw_check_event_key(p_key text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  c_longest constant integer := 200;
begin
  if p_key is null or length(p_key) not between 1 and c_longest then
    raise invalid_parameter_value using
      message = case when p_key is null then 'the key of the event is NULL' else format('the key of the event has %s characters', length(p_key)) end,
      detail = format('A key has 1 to %s characters. No event was emitted and nothing waits.', c_longest),
      hint = 'Put what is longer into the payload.';
  end if;
end
$$;
comment on function public.fw_check_event_key(text) is 'Internal: refuses keys of events that are empty or longer than 200 characters.';
