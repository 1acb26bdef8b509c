// An input that fits a workflow's schema, for the command line that a newcomer may copy.
import { z } from 'zod'
import { EXAMPLE_ORGANIZATION } from './output.js'

type JsonSchema = z.core.JSONSchema.BaseSchema

const FORMATS: Readonly<Record<string, string>> = {
  email: 'ada@example.com',
  uri: 'https://example.com/',
  uuid: EXAMPLE_ORGANIZATION,
  date: '2030-01-31',
  time: '12:00:00',
  'date-time': '2030-01-31T12:00:00Z',
}

/** JSON text that passes the schema, or undefined where none was found. */
export function exampleInput(schema: z.ZodType): string | undefined {
  try {
    const example = exampleOf(z.toJSONSchema(schema, { io: 'input' }), 0)
    return schema.safeParse(example).success ? JSON.stringify(example) : undefined
  } catch {
    // JSON Schema can't say it, or it is checked asynchronously.
    return undefined
  }
}

function exampleOf(schema: JsonSchema, depth: number): unknown {
  if (depth > 10) return null
  if (schema.default !== undefined) return schema.default
  if (schema.const !== undefined) return schema.const
  const first: unknown = schema.examples?.[0] ?? schema.enum?.[0]
  if (first !== undefined) return first
  const [either] = schema.anyOf ?? schema.oneOf ?? []
  if (either !== undefined) return exampleOf(either, depth + 1)
  switch (schema.type) {
    case 'string':
      return FORMATS[schema.format ?? ''] ?? 'text'.padEnd(schema.minLength ?? 0, '.').slice(0, schema.maxLength)
    case 'integer':
    case 'number':
      return Math.max(1, Math.ceil(schema.minimum ?? 1), Math.floor(Number(schema.exclusiveMinimum ?? 0)) + 1)
    case 'boolean':
      return true
    case 'array': {
      const item = Array.isArray(schema.items) ? schema.items[0] : schema.items
      return Array.from({ length: schema.minItems ?? 0 }, () => (typeof item === 'object' ? exampleOf(item, depth + 1) : null))
    }
    case 'null':
      return null
    default:
      return Object.fromEntries(
        (schema.required ?? []).map((name) => {
          const property = schema.properties?.[name]
          return [name, typeof property === 'object' ? exampleOf(property, depth + 1) : null]
        }),
      )
  }
}
