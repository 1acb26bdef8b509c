create or replace function public.fw_check_workflows(p_workflows jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  c_whole constant text[] := array['max_attempts', 'backoff_initial_ms', 'backoff_max_ms', 'timeout_minutes', 'warn_percent'];
  v_problem text;
begin
  if p_workflows is null or jsonb_typeof(p_workflows) <> 'array' or jsonb_array_length(p_workflows) = 0 then
    raise invalid_parameter_value using
      message = 'an executor must register at least one workflow',
      hint = 'Pass a JSON array of {"name", "max_attempts", "backoff_initial_ms", "backoff_factor", "backoff_max_ms", "timeout_minutes", "on_timeout", "warn_percent", "compensate_on_timeout"}.';
  end if;
  select case when jsonb_typeof(i.item) <> 'object' then format('workflow %s is a JSON %s instead of an object', i.place, jsonb_typeof(i.item))
    else format('%s of workflow %s is %s, which is no %s', f.key, i.place, left(f.value::text, 100),
      case when f.key = 'compensate_on_timeout' then 'boolean' when f.key in ('name', 'on_timeout') then 'text' when f.key = any (c_whole) then 'whole number' else 'number' end) end
  into v_problem
  from jsonb_array_elements(p_workflows) with ordinality as i (item, place)
  left join lateral jsonb_each(case when jsonb_typeof(i.item) = 'object' then i.item else '{}' end) as f (key, value) on true
  where jsonb_typeof(i.item) <> 'object' or jsonb_typeof(f.value) <> 'null' and case
    when f.key in ('name', 'on_timeout') then jsonb_typeof(f.value) <> 'string'
    when f.key = 'compensate_on_timeout' then jsonb_typeof(f.value) <> 'boolean'
    when f.key = 'backoff_factor' or f.key = any (c_whole) then
      case when jsonb_typeof(f.value) = 'number' then f.key = any (c_whole) and f.value::numeric <> trunc(f.value::numeric) else true end
    else false end
  order by i.place limit 1;
  if found then
    raise invalid_parameter_value using message = v_problem, detail = 'No executor was registered.',
      hint = 'A name and on_timeout are texts, backoff_factor is a number, compensate_on_timeout is true or false, all others are whole numbers.';
  end if;
  if exists (
    select from jsonb_to_recordset(p_workflows) as item
      (name text, max_attempts numeric, backoff_initial_ms numeric, backoff_factor numeric, backoff_max_ms numeric,
       timeout_minutes numeric, on_timeout text, warn_percent numeric)
    where item.name is null or length(item.name) not between 1 and 200
      or item.max_attempts not between 1 and 100 or item.backoff_factor not between 1 and 100
      or item.backoff_initial_ms not between 0 and 1e12 or item.backoff_max_ms not between 0 and 1e13
      or item.timeout_minutes not between 1 and 1440 or item.warn_percent not between 50 and 99
      or item.on_timeout not in ('fail', 'cancel', 'escalate')
  ) then
    raise invalid_parameter_value using
      message = 'a workflow has a name, a retry policy or a timeout out of range',
      detail = 'Allowed are names of 1 to 200 characters, max_attempts 1 to 100, backoff_factor 1 to 100, times of 0 or more, timeout_minutes 1 to 1440, on_timeout fail, cancel or escalate, warn_percent 50 to 99.',
      hint = 'No executor was registered.';
  end if;
end
$$;
comment on function public.fw_check_workflows(jsonb) is 'Internal: refuses workflows that no executor can register, naming the first that is wrong and how.';
