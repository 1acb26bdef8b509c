// The promise that a handler is given for each of its operations. It knows whether anybody has looked at it, and it never ends the
// process: what fails without anybody looking is told by the run.

export class Given<Result> extends Promise<Result> {
  /** Somebody awaits it, or has. */
  isWatched = false

  /** What comes of it is an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** It fails without ending the process when nobody looks at it. */
  quiet(): void {
    super.then(undefined, () => undefined)
  }

  /** `await` and Promise.all call this, by which they are noticed. */
  override then<Fulfilled = Result, Rejected = never>(
    onFulfilled?: ((value: Result) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.isWatched = true
    return super.then(onFulfilled, onRejected)
  }
}
