// What a record must be to pass as a movie, and what is made of the dirt in those that do.
import { z } from 'zod'

const amount = z.int().nonnegative().nullable()
const text = z.string().regex(/\S/, 'is empty').nullable()

/**
 * A record that is a movie has a title and a day it was released; everything else may be missing, but not be nonsense.
 * Eight records were 'released' on Dec 31 1969: that is Unix time 0, an evening earlier in America, and so no date at all.
 */
export const MovieRecord = z.strictObject({
  Title: z.union([z.string().regex(/\S/), z.int().nonnegative()], 'is neither a text nor a number'),
  'Release Date': z
    .string()
    .refine((date) => isoDate(date) !== undefined, 'is no date such as Jun 12 1998')
    .refine((date) => date !== 'Dec 31 1969', 'Dec 31 1969 stands for no date'),
  Distributor: text,
  Director: text,
  Source: text,
  'Major Genre': text,
  'Creative Type': text,
  'MPAA Rating': z.enum(['G', 'PG', 'PG-13', 'R', 'NC-17', 'Not Rated', 'Open']).nullable(),
  'Running Time min': z.int().positive().nullable(),
  'Production Budget': amount,
  'US Gross': amount,
  'Worldwide Gross': amount,
  'US DVD Sales': amount,
  'Rotten Tomatoes Rating': z.int().min(0).max(100).nullable(),
  'IMDB Rating': z.number().min(0).max(10).nullable(),
  'IMDB Votes': z.int().nonnegative().nullable(),
})
export type MovieRecord = z.infer<typeof MovieRecord>

export interface Movie {
  title: string
  /** ISO 8601. */
  released: string
  distributor: string | null
  director: string | null
  genre: string | null
  rating: string | null
  minutes: number | null
  /** Amounts are in dollars; null is not known. */
  budget: number | null
  usGross: number | null
  worldwideGross: number | null
  usDvdSales: number | null
}

export function toMovie(record: MovieRecord): Movie {
  const released = isoDate(record['Release Date'])
  if (released === undefined) throw new Error(`${record['Release Date']} is no date`)
  // No film made nothing at all in the whole world: a 0 there is an amount that nobody knew. In the US alone it can be.
  const grossKnown = record['Worldwide Gross'] !== 0
  return {
    title: titleOf(record.Title),
    released,
    distributor: distributorOf(record.Distributor),
    director: record.Director === null ? null : cleaned(record.Director),
    genre: record['Major Genre'],
    rating: record['MPAA Rating'],
    minutes: record['Running Time min'],
    budget: record['Production Budget'],
    usGross: grossKnown ? record['US Gross'] : null,
    worldwideGross: grossKnown ? record['Worldwide Gross'] : null,
    usDvdSales: record['US DVD Sales'],
  }
}

/** 300 is a title; 'Secret, The' was filed for a card index. */
function titleOf(title: string | number): string {
  return cleaned(String(title)).replace(/^(.+), (The|An|A)$/, '$2 $1')
}

/** Null for a distributor that is missing, or that goes by the name of Distributor Unknown. */
export function distributorOf(distributor: unknown): string | null {
  return typeof distributor === 'string' && distributor !== 'Distributor Unknown' ? distributor : null
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * The data ends in 2011. Later years are those of older films, written with two digits once and read in the wrong
 * century: The Wizard of Oz is not of 2039.
 */
const LAST_YEAR = 2011

/** 'Jun 12 1998' as 1998-06-12; undefined for what is no date of the calendar. */
export function isoDate(date: string): string | undefined {
  const [, month = '', day = '', year = ''] = /^([A-Z][a-z]{2}) (\d{2}) (\d{4})$/.exec(date) ?? []
  const fullYear = Number(year) > LAST_YEAR ? Number(year) - 100 : Number(year)
  const iso = `${fullYear}-${String(MONTHS.indexOf(month) + 1).padStart(2, '0')}-${day}`
  return z.iso.date().safeParse(iso).data
}

const macRoman = new TextDecoder('macintosh').decode(Uint8Array.from({ length: 256 }, (_, byte) => byte))
const byteOf = new Map(Array.from(macRoman, (character, byte) => [character, byte]))

/**
 * Undoes what was done to texts on their way: Latin-1 (and Windows' own … in it) that was read as Mac Roman, 'CachÈ' for
 * 'Caché'; quotes that were doubled for a CSV file; blanks that came twice.
 */
function cleaned(dirty: string): string {
  const bytes = Array.from(dirty, (character) => byteOf.get(character))
  const misread = bytes.every((byte) => byte !== undefined)
  const legible = misread ? Buffer.from(bytes).toString('latin1').replaceAll('\x85', '…') : dirty
  return legible.replaceAll('""', '"').replace(/\s+/g, ' ').trim()
}
