create or replace function public.fw_require_read_committed() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise invalid_transaction_state using
      message = format('this cannot be done in a transaction that is %s', upper(current_setting('transaction_isolation'))),
      detail = 'It has to see what others committed while it waited for their locks, which only READ COMMITTED shows.',
      hint = format('Begin with: begin isolation level read committed. Where that is not your choice: alter role %I set default_transaction_isolation = %L.',
        session_user, 'read committed');
  end if;
end
$$;
comment on function public.fw_require_read_committed() is
  'Internal: raises 25000 unless the transaction is READ COMMITTED. Called where a stricter transaction would decide by what it saw before it waited for a lock, and so lose something.';
