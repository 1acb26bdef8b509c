// What the exit code of a command says.

export const EXIT = {
  done: 0,
  /** The work failed: an execution did, or did not finish in time, an invariant is violated, … */
  failed: 1,
  usage: 2,
  /** The database can't be reached, or it isn't set up. */
  database: 3,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export const EXIT_HELP = `
Exit codes:
  0  done
  1  failed: an execution failed or did not finish in time, an invariant is violated, …
  2  wrong usage; nothing was changed
  3  the database can't be reached or isn't set up (fw migrate sets it up)`
