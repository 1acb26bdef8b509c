// What can go wrong with the embedded Postgres: each error names its cause and what to do about it.
import { WorkerError } from '../errors.js'

/** An optional npm package that the embedded server is made of isn't installed. */
export class EmbeddedNotInstalledError extends WorkerError {
  readonly packages: readonly string[]

  constructor(packages: readonly string[], install: readonly string[] = packages, options?: ErrorOptions) {
    super(
      'EMBEDDED_NOT_INSTALLED',
      `The embedded Postgres needs ${packages.join(' and ')}, not installed here.\n` +
        `Install: npm install --save-dev ${install.join(' ')}\n` +
        'or use a Postgres of your own (15 to 18, with the pgmq extension).',
      options,
    )
    this.packages = packages
  }
}

/** This platform, or this version of the binaries, can't serve as the embedded server. */
export class EmbeddedUnsupportedError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('EMBEDDED_UNSUPPORTED', message, options)
  }
}

/** A live server already holds the data folder. */
export class DataDirBusyError extends WorkerError {
  readonly pid: number

  constructor(dataDir: string, pid: number) {
    super(
      'EMBEDDED_DATA_DIR_BUSY',
      `A Postgres server (process ${pid}) already runs on ${dataDir}.\n` +
        `Stop it where it was started, or with: kill -INT ${pid}`,
    )
    this.pid = pid
  }
}

/** The folder can't be used: unreachable for the server's user, not ours, or of another Postgres version. */
export class DataDirUnusableError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('EMBEDDED_DATA_DIR_UNUSABLE', message, options)
  }
}

/** initdb or postgres ended, or didn't become ready; the message carries the last lines of its log. */
export class EmbeddedStartError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('EMBEDDED_START_FAILED', message, options)
  }
}
