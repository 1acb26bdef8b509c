create or replace function public.fw_refuse(p_limit_name text, p_what text, p_actual bigint, p_limit bigint, p_unit text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise program_limit_exceeded using
    message = format('%s has %s %s, more than %s, which is %s', p_what, p_actual, p_unit, p_limit_name, p_limit),
    detail = 'Nothing was written.',
    hint = format('Make it smaller: keep what is large elsewhere, and pass on where it is. Or raise the limit: update fw_worker_config set %I = ...', p_limit_name);
end
$$;
comment on function public.fw_refuse(text, text, bigint, bigint, text) is
  'Internal: raises the error for what is larger than a limit of fw_worker_config, naming what it is, how large it is, the limit and the cure.';
