create or replace function public.fw_clock() returns timestamptz
language sql volatile
set search_path = pg_catalog, pg_temp
as 'select public.fw_now() + (clock_timestamp() - now())';
comment on function public.fw_clock() is
  'The time at this moment, where fw_now() is that at which the transaction began: for what is decided after a lock was waited for, and for a look at what others have written meanwhile.';
