import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'embedded',
          include: ['executor/test/**/*.test.ts'],
          exclude: ['**/node_modules/**', 'executor/test/container/**'],
          globalSetup: ['executor/test/support/global-setup.ts'],
        },
      },
      {
        // In containers of the images that docker/ builds; left out where no Docker engine answers.
        extends: true,
        test: {
          name: 'container',
          include: ['executor/test/container/**/*.test.ts'],
          globalSetup: ['executor/test/container/setup.ts'],
          env: { TESTCONTAINERS_RYUK_DISABLED: 'true' },
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
})
