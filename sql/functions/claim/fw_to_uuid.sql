-- Postgres 16 can ask whether a text is a uuid, at a quarter of what a regular expression costs. Every name is qualified, the
-- operator and the type in the text too: a setting of search_path would pin them as well, but then the function is not inlined.
do $do$
begin
  if current_setting('server_version_num')::integer >= 160000 then
    create or replace function public.fw_to_uuid(p_text text) returns uuid
    language sql stable parallel safe
    as $$
      -- The cast stands outside: inside of the case the planner may do it early, on a constant that is no uuid.
      select (case when pg_catalog.pg_input_is_valid(p_text, 'pg_catalog.uuid') then p_text end)::pg_catalog.uuid
    $$;
  else
    create or replace function public.fw_to_uuid(p_text text) returns uuid
    language sql stable parallel safe
    as $$
      select (case when p_text operator(pg_catalog.~) '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then p_text end)::pg_catalog.uuid
    $$;
  end if;
end
$do$;
comment on function public.fw_to_uuid(text) is 'Internal: the uuid that a text spells, or NULL where it spells none.';
