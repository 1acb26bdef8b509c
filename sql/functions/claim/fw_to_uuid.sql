create or replace function public.fw_to_uuid(p_text text) returns uuid
language sql immutable parallel safe
as $$
  select case when p_text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then p_text::pg_catalog.uuid end
$$;
comment on function public.fw_to_uuid(text) is 'Internal: the uuid that a text spells, or NULL where it spells none.';
