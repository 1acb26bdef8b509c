create or replace function public.fw_if_small(p_value jsonb) returns jsonb
language sql stable parallel safe
as $$
  select case when pg_catalog.pg_column_size(p_value) operator(pg_catalog.<=) 64
    or (pg_catalog.pg_column_size(p_value) operator(pg_catalog.<=) 2000
      and pg_catalog.octet_length(p_value::pg_catalog.text) operator(pg_catalog.<=) 16000) then p_value end
$$;
comment on function public.fw_if_small(jsonb) is
  'Internal: the value where it takes up few bytes, or its text has at most 16,000, otherwise NULL: what a claim of thousands of executions can hand over. What is kept compressed is not looked into. Without settings of its own, so that the planner puts its body in place of the call.';
