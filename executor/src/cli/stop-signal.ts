// SIGINT and SIGTERM: the first asks for an orderly stop, a second one, later, for the end.

/** npm passes a Ctrl-C on to a program that got it from the terminal already: so soon, it is the same one. */
const SAME_WITHIN_MS = 500

const LOOK_AT_PARENT_MS = 200

export interface StopSignal {
  /** Resolves with the first signal. */
  readonly received: Promise<NodeJS.Signals>
  /** What a second signal does. Default: nothing. */
  onSecond: () => void
  /** Gives the signals back to Node's default. */
  dispose: () => void
}

/**
 * From now on the signals no longer end the process by themselves.
 *
 * Under npm (`npx fw run`, or a script) there may be a shell between npm and this process: npm passes SIGTERM on to the shell, which ends
 * without a word to us. That it is gone is taken for the signal.
 */
export function awaitStopSignal(): StopSignal {
  let resolve: (signal: NodeJS.Signals) => void = () => undefined
  const received = new Promise<NodeJS.Signals>((settle) => {
    resolve = settle
  })
  let first: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    if (first === undefined) {
      first = performance.now()
      resolve(signal)
    } else if (performance.now() - first > SAME_WITHIN_MS) {
      stop.onSecond()
    }
  }
  const watch = process.env['npm_command'] === undefined ? undefined : watchParent(() => {
    if (first === undefined) onSignal('SIGTERM')
  })
  const stop: StopSignal = {
    received,
    onSecond: () => undefined,
    dispose: () => {
      clearInterval(watch)
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    },
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return stop
}

/** The parent of a process whose own has ended is another one. */
function watchParent(onGone: () => void): NodeJS.Timeout {
  const parent = process.ppid
  return setInterval(() => {
    if (process.ppid !== parent) onGone()
  }, LOOK_AT_PARENT_MS).unref()
}
