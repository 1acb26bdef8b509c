create or replace function public.fw_limits() returns table (name text, value bigint, unit text, meaning text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select l.name, l.value, l.unit, col_description('public.fw_worker_config'::regclass, a.attnum)
  from public.fw_worker_config c
  cross join lateral (values
    ('input_limit', c.input_limit, 'bytes'), ('output_limit', c.output_limit, 'bytes'), ('result_limit', c.result_limit, 'bytes'),
    ('results_limit', c.results_limit, 'bytes'), ('steps_limit', c.steps_limit, 'steps'), ('metadata_limit', c.metadata_limit, 'bytes'),
    ('error_limit', c.error_limit, 'characters'), ('progress_limit', c.progress_limit, 'characters'),
    ('workflow_version_limit', c.workflow_version_limit, 'characters'), ('executor_name_limit', c.executor_name_limit, 'characters')
  ) as l (name, value, unit)
  join pg_attribute a on a.attrelid = 'public.fw_worker_config'::regclass and a.attname = l.name
$$;
comment on function public.fw_limits() is
  'The limits of what is written, each a column of fw_worker_config: name, value, unit and meaning. Change one with: update fw_worker_config set input_limit = ...';
