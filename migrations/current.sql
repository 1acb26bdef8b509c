-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_reserve_places(uuid[], integer, boolean);
drop function if exists public.fw_next_organizations(text, integer, boolean, uuid[]);
drop function if exists public.fw_claim_organizations(uuid, text[], uuid[], integer, boolean, boolean);
