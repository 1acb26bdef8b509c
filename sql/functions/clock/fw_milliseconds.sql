create or replace function public.fw_milliseconds(p_ms bigint) returns interval
language sql immutable parallel safe
as 'select pg_catalog.make_interval(secs => case when p_ms operator(pg_catalog.>) 3155760000000 then 3155760000000 when p_ms operator(pg_catalog.<) 0 then 0 else p_ms end operator(pg_catalog./) 1000.0)';
comment on function public.fw_milliseconds(bigint) is
  'Internal: so many milliseconds, from none to 100 years: what is outside is one of these two. NULL for NULL. Without settings of its own, so that the planner puts its body in place of the call.';
