create or replace function public.fw_now() returns timestamptz
language sql stable parallel safe
as 'select pg_catalog.now()';
comment on function public.fw_now() is
  'The time, for everything that the worker decides: that of the transaction. A test may replace it to move the clock. Without settings of its own, so that the planner puts its body in place of the call.';
