--! Previous: sha1:d58b9c96bf2aab340e88f6552a5b074c8dff88d3
--! Hash: sha1:10f4c3beb96a24733bbe275705de4cb041ef8309
--! Message: what ends together, and children by their steps

-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_end_executions(uuid[], public.fw_execution_status[], text[], text[], boolean[], boolean);
drop function if exists public.fw_create_children(uuid[], text[], jsonb[]);
