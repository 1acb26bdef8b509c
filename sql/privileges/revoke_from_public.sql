-- Least privilege: nobody but the owner calls anything until it is granted.
do $do$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname like 'fw\_%'
  loop
    execute format('revoke all on routine %s from public', v_function);
  end loop;
end
$do$;
