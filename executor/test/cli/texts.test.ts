import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { exampleInput } from '../../src/cli/example-input.js'
import { jsonErrorAt } from '../../src/cli/json-error.js'
import { readable } from '../../src/cli/log.js'
import { oneLine, span, table } from '../../src/cli/table.js'

describe('the place of an error in JSON', () => {
  const valid = ['0', '-1.5e+3', '""', '"\\u00e9\\n"', ' [ ] ', '[1,[2],{}]', '{"a":{"b":[true,false,null]}}', '\t{ "a" : 1 , "b" : 2 }\n']

  it.each(valid)('there is none in %j', (text) => {
    expect(jsonErrorAt(text)).toBeUndefined()
    expect(() => JSON.parse(text) as unknown).not.toThrow()
  })

  it.each([
    ['', 0],
    ['  ', 2],
    ['nul', 0],
    ['01', 1],
    ['1 2', 2],
    ['[1,]', 3],
    ['[1 2]', 3],
    ['{"a" 1}', 5],
    ['{a:1}', 1],
    ['{"a":1,}', 7],
    ['{"a":1', 6],
    ['{"a":"x\ny"}', 5],
    ['"\\x"', 0],
    ["'a'", 0],
  ])('%j: %i', (text, at) => {
    expect(jsonErrorAt(text)).toBe(at)
    expect(() => JSON.parse(text) as unknown).toThrow()
  })

  it('agrees with JSON.parse on every cut of a text', () => {
    const text = '{"a": [1, -2.5e3, "x\\"\\u0041"], "b": {"c": null, "d": [true, {}]}}'
    for (let end = 0; end < text.length; end++) {
      expect(() => JSON.parse(text.slice(0, end)) as unknown).toThrow()
      expect(jsonErrorAt(text.slice(0, end))).not.toBeUndefined()
    }
  })
})

describe('an example of an input', () => {
  it.each([
    [z.object({ name: z.string(), note: z.string().optional() }), { name: 'text' }],
    [z.object({ cents: z.int().positive(), email: z.email() }), { cents: 1, email: 'ada@example.com' }],
    [z.array(z.enum(['red', 'green'])).min(1), ['red']],
    [z.union([z.literal('all'), z.number()]), 'all'],
    [z.object({ at: z.iso.datetime(), to: z.object({ ok: z.boolean() }) }), { at: '2030-01-31T12:00:00Z', to: { ok: true } }],
    [z.unknown(), {}],
  ])('fits its schema (%#)', (schema, example) => {
    expect(JSON.parse(exampleInput(schema) ?? '')).toEqual(example)
  })

  it('is none where no fitting one was found', () => {
    expect(exampleInput(z.string().regex(/^ORDER-\d{6}$/))).toBeUndefined()
    expect(exampleInput(z.string().transform((text) => text.length))).toBe('"text"')
    expect(exampleInput(z.custom<Date>((value) => value instanceof Date))).toBeUndefined()
  })
})

describe('a line of the log on a terminal', () => {
  it('shows the time, the message and the fields, in one line without control characters', () => {
    const line = readable(JSON.stringify({ level: 30, time: Date.parse('2030-01-31T12:34:56'), pid: 1, hostname: 'h', name: 'fw', msg: 'an attempt failed', attempt: 2, error: 'a\nb\u001b[2J' }))
    expect(line).toBe('12:34:56  an attempt failed  attempt=2  error=a b [2J')
  })

  it('marks warnings and errors and says why', () => {
    const warning = { level: 40, time: 0, msg: 'no listener', err: { type: 'Error', message: 'refused', stack: 'Error: refused\n at x' } }
    expect(readable(JSON.stringify(warning))).toMatch(/ {2}WARN {2}no listener: refused$/)
    expect(readable(JSON.stringify({ ...warning, level: 50 }))).toContain('ERROR no listener: refused')
  })
})

describe('a line of the log about what an execution has thrown', () => {
  const frames = Array.from({ length: 20 }, (_, at) => `    at frame${at} (file:///app/${at}.js:1:1)`)
  const stack = ['Error: no card\u001b[2J', '    at inner (node:internal/timers:1:1)', ...frames, 'caused by: Error: x'].join('\n')
  const line = readable(JSON.stringify({ level: 40, time: 0, msg: 'an attempt failed', executionId: 'e1', step: 'charge', retryInMs: 500, err: { message: `no card ${'x'.repeat(5000)}`, stack } }))
  const [first = '', ...below] = line.split('\n')

  it('has its message and fields in one line, each kept short', () => {
    expect(first).toMatch(/WARN {2}an attempt failed: no card x+… {2}executionId=e1 {2}step=charge {2}retryInMs=500$/)
    expect(first.length).toBeLessThan(500)
  })

  it('has the top of the stack below it, without the frames of the runtime and without control characters', () => {
    expect(below).toHaveLength(9)
    expect(below[0]).toBe('          Error: no card [2J')
    expect(below[1]).toBe('            at frame0 (file:///app/0.js:1:1)')
    expect(below.at(-1)).toBe('          …')
  })
})

describe('texts for people', () => {
  it('aligns the columns of a table', () => {
    const text = table(
      [
        { title: 'NAME', value: (row: { name: string; count: number }) => row.name },
        { title: 'COUNT', value: (row) => row.count, align: 'right' },
      ],
      [
        { name: 'a', count: 5 },
        { name: 'longer', count: 100_000 },
      ],
    )
    expect(text.split('\n')).toEqual(['NAME     COUNT', 'a            5', 'longer  100000'])
  })

  it.each([
    [0.4, '0s'],
    [59, '59s'],
    [60, '1m'],
    [252, '4m 12s'],
    [3600, '1h'],
    [7260, '2h 1m'],
    [176_400, '2d 1h'],
  ])('writes %d seconds as %s', (seconds, written) => {
    expect(span(seconds)).toBe(written)
  })

  it('cuts what is too long', () => {
    expect(oneLine('abcdef', 4)).toBe('abc…')
  })
})
