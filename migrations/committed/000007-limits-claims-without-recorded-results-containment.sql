--! Previous: sha1:419410f082c7b6e36e73f4b9ebd3d55e34e22719
--! Hash: sha1:f6ecdf2f6c7baa9862ae046b3214f1e01619c1ec
--! Message: limits, claims without recorded results, containment

-- Limits, claims without recorded results, and containment.

-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_claim_batches(uuid, integer, uuid[]);
drop function if exists public.fw_claim_organizations(uuid, text[], text[], uuid[], timestamptz[], integer, boolean);
drop function if exists public.fw_take_batch(uuid, uuid);
drop function if exists public.fw_next_organizations(text, integer, boolean);
drop function if exists public.fw_settle_strays(text[]);
drop function if exists public.fw_register_executor(text, jsonb);
drop function if exists public.fw_check_enqueue(text, jsonb[], uuid, text[], interval);

alter table public.fw_executors
  add column if not exists api_version integer not null default 3,
  add column if not exists stray_cursor text not null default '',
  add column if not exists claims_fail_since timestamptz,
  add column if not exists claim_error text;
comment on column public.fw_executors.api_version is 'The version of the SQL API that it speaks.';
comment on column public.fw_executors.stray_cursor is 'Internal: the organization key at which the look for messages that belong to no organization goes on.';
comment on column public.fw_executors.claims_fail_since is 'Since when its claims fail; NULL while they do not.';
comment on column public.fw_executors.claim_error is 'The error by which its last claim failed.';
alter table public.fw_worker_ticks add column if not exists errors text[];
comment on column public.fw_worker_ticks.errors is 'What failed in this tick, while all else went on; NULL for nothing.';

-- The organizations that a claim walks over, in the order of the claim index.
create index if not exists fw_module_settings_enabled_idx on public.fw_module_settings ((organization_id::text collate "C"))
  where fw_execution_worker_enabled;

-- Limits. What has fewer bytes or characters than the least of them is written without a look at them.
alter table public.fw_worker_config
  add column if not exists input_limit integer not null default 16777216
    constraint fw_worker_config_input_limit_check check (input_limit between 1000000 and 67108864),
  add column if not exists output_limit integer not null default 16777216
    constraint fw_worker_config_output_limit_check check (output_limit between 1000000 and 67108864),
  add column if not exists result_limit integer not null default 16777216
    constraint fw_worker_config_result_limit_check check (result_limit between 1000000 and 67108864),
  add column if not exists results_limit integer not null default 67108864
    constraint fw_worker_config_results_limit_check check (results_limit between 1000000 and 268435456),
  add column if not exists steps_limit integer not null default 50000
    constraint fw_worker_config_steps_limit_check check (steps_limit between 1000 and 1000000),
  add column if not exists metadata_limit integer not null default 65536
    constraint fw_worker_config_metadata_limit_check check (metadata_limit between 10000 and 1048576),
  add column if not exists error_limit integer not null default 10000
    constraint fw_worker_config_error_limit_check check (error_limit between 1000 and 100000),
  add column if not exists progress_limit integer not null default 1000
    constraint fw_worker_config_progress_limit_check check (progress_limit between 100 and 10000),
  add column if not exists workflow_version_limit integer not null default 200
    constraint fw_worker_config_workflow_version_limit_check check (workflow_version_limit between 50 and 1000),
  add column if not exists executor_name_limit integer not null default 200
    constraint fw_worker_config_executor_name_limit_check check (executor_name_limit between 50 and 1000);
comment on column public.fw_worker_config.input_limit is 'Most bytes of the input of an execution, as JSON text.';
comment on column public.fw_worker_config.output_limit is 'Most bytes of the output of an execution, as JSON text.';
comment on column public.fw_worker_config.result_limit is 'Most bytes of the result of one step, or of the payload of an event, as JSON text.';
comment on column public.fw_worker_config.results_limit is 'Most bytes of all recorded results of one execution together, as JSON text.';
comment on column public.fw_worker_config.steps_limit is 'Most steps of one execution.';
comment on column public.fw_worker_config.metadata_limit is 'Most bytes of the metadata of an execution, as JSON text.';
comment on column public.fw_worker_config.error_limit is 'Characters to which the text of an error, and a stack, is cut.';
comment on column public.fw_worker_config.progress_limit is 'Characters to which the text of a progress is cut.';
comment on column public.fw_worker_config.workflow_version_limit is 'Most characters of the version of a workflow.';
comment on column public.fw_worker_config.executor_name_limit is 'Most characters of the name of an executor.';
