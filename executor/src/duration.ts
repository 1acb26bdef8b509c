// Durations as users write them ('10m', '1.5s', 250) in milliseconds.
import ms from 'ms'
import { UsageError } from './errors.js'

// The types of the package ms are no dependency of ours, so a user's compiler would not find them: these are said here.
type Unit =
  | 'Years' | 'Year' | 'Yrs' | 'Yr' | 'Y' | 'Weeks' | 'Week' | 'W' | 'Days' | 'Day' | 'D' | 'Hours' | 'Hour' | 'Hrs' | 'Hr' | 'H'
  | 'Minutes' | 'Minute' | 'Mins' | 'Min' | 'M' | 'Seconds' | 'Second' | 'Secs' | 'Sec' | 's'
  | 'Milliseconds' | 'Millisecond' | 'Msecs' | 'Msec' | 'Ms'
type AnyCase = Unit | Uppercase<Unit> | Lowercase<Unit>
type DurationText = `${number}` | `${number}${AnyCase}` | `${number} ${AnyCase}`

/** A number of milliseconds, or a text such as '250ms', '1s', '10m', '2h', '7d'. */
export type Duration = number | DurationText

/** The longest that anything may take. */
export const LONGEST: DurationText = '100y'
/** The longest that an execution may wait in one step. */
export const LONGEST_WAIT: DurationText = '10y'

/** What a timer of Node can wait for, some 24 days; a longer one would fire at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Milliseconds of a duration, a whole number.
 * @param what names it in the error
 * @param longest what it may be at most. Default: a hundred years
 * @throws UsageError if it is no duration, negative, or longer than that
 */
export function toMilliseconds(duration: Duration, what: string, longest: DurationText = LONGEST): number {
  let milliseconds: number | undefined
  try {
    milliseconds = typeof duration === 'number' ? duration : ms(duration)
  } catch {
    milliseconds = undefined
  }
  if (milliseconds === undefined || !(milliseconds >= 0 && milliseconds <= ms(longest))) {
    throw new UsageError(`${what} is '${duration}'; allowed are 0 to ${longest.replace('y', ' years')}, as milliseconds or as '250ms', '1s', '10m', '2h', '7d'`)
  }
  return Math.round(milliseconds)
}
