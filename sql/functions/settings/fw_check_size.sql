create or replace function public.fw_check_size(p_limit_name text, p_limit bigint, p_what text, p_value jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  c_no_text constant bigint := 1073741824;   -- Postgres holds no text of so many bytes
  v_bytes bigint;
  v_unit text := 'bytes at least';
begin
  -- A value takes up at most four times the bytes of its text. One that is larger than that need not be written out to be refused.
  v_bytes := pg_column_size(p_value) / 4;
  if v_bytes <= p_limit then
    begin
      v_bytes := octet_length(p_value::text);
      v_unit := 'bytes';
    exception when program_limit_exceeded or out_of_memory or internal_error then
      -- A few bytes of a number, or of control characters, may be a long text.
      v_bytes := c_no_text;
    end;
  end if;
  if v_bytes > p_limit then
    perform public.fw_refuse(p_limit_name, p_what, v_bytes, p_limit, v_unit);
  end if;
end
$$;
comment on function public.fw_check_size(text, bigint, text, jsonb) is
  'Internal: refuses a value whose JSON text has more bytes than the limit, naming the limit (a column of fw_worker_config) and what the value is.';
