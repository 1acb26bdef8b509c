// How far apart the questions are that hints bring about. Anybody may send a NOTIFY, so a hint costs at most one question, and many hints that
// lead to nothing cost few.

const LONGEST_WAIT_MS = 100
/** After so long without a question that led to nothing, the next one is the first again. */
const FORGET_MS = 1000

export class Pace {
  #fruitless = 0
  #lastAt = -Infinity
  #nextAt = 0

  /** Milliseconds to wait before the next question; 0 when it may be asked at once. */
  get waitMs(): number {
    return Math.max(0, this.#nextAt - performance.now())
  }

  /** A question was answered. @param isFruitful whether there was something to do */
  answered(isFruitful: boolean): void {
    const now = performance.now()
    this.#fruitless = isFruitful || now - this.#lastAt > FORGET_MS ? 0 : this.#fruitless + 1
    this.#lastAt = now
    this.#nextAt = this.#fruitless === 0 ? 0 : now + Math.min(LONGEST_WAIT_MS, 2 ** this.#fruitless)
  }
}
