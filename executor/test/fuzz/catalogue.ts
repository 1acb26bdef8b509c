// What may be called: every public function of the worker, with its arguments, as the catalogue of the database has them.
import type { Queryable } from '../support/sql.js'

export interface Argument {
  name: string
  /** As in a cast: 'uuid', 'text[]'. */
  type: string
  hasDefault: boolean
}

export interface PublicFunction {
  name: string
  isProcedure: boolean
  arguments: Argument[]
}

interface Row extends Record<string, unknown> {
  name: string
  kind: string
  names: string[]
  types: string[]
  defaults: number
}

/** All but triggers, which nobody can call, and those whose comment says that they are internal. */
export async function publicFunctions(on: Queryable): Promise<PublicFunction[]> {
  const rows = await on.query<Row>(
    `select p.proname as name, p.prokind::text as kind, p.pronargdefaults as defaults,
       array(select coalesce(p.proargnames[place], '') from generate_series(1, p.pronargs) as place order by place) as names,
       array(select format_type(type, null) from unnest(p.proargtypes::oid[]) with ordinality as a (type, place) order by place) as types
     from pg_catalog.pg_proc p
     where p.pronamespace = 'public'::regnamespace and p.proname like 'fw\\_%' and p.prorettype <> 'trigger'::regtype
       and obj_description(p.oid, 'pg_proc') not like 'Internal:%'
     order by p.proname, p.oid`,
  )
  return rows.map(({ name, kind, names, types, defaults }) => ({
    name,
    isProcedure: kind === 'p',
    arguments: types.map((type, place) => ({ name: names[place] ?? '', type, hasDefault: place >= types.length - defaults })),
  }))
}
