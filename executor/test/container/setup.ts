// Builds the images of docker/ once for the container suite. Where no Docker engine answers, the suite is left out; with
// FW_REQUIRE_DOCKER=1 that is an error.
import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { X509Certificate } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { ContainerRuntimeClient } from 'testcontainers'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Names of the images, or null where no Docker engine answers. */
    images: Images | null
  }
}

export interface Images {
  postgres: string
  executor: string
}

/** Marks the containers of this suite; one that outlived its run is removed by a later one. */
export const LABEL = 'durable-execution-worker.test'
const ABANDONED_AFTER_MS = 30 * 60_000

const IMAGES: Images = { postgres: 'durable-execution-worker/test-postgres:latest', executor: 'durable-execution-worker/test-executor:latest' }
const DOCKERFILES: Images = { postgres: 'docker/Dockerfile', executor: 'docker/executor.Dockerfile' }

export default async function setup(project: TestProject): Promise<void> {
  // Its helper container would have to be downloaded; the suite removes what it starts by itself.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true'
  const client = await engine()
  project.provide('images', client === undefined ? null : IMAGES)
  if (client === undefined) {
    console.log('container suite left out: no Docker engine answers')
    return
  }
  await removeAbandoned(client)
  for (const part of ['postgres', 'executor'] as const) await build(part)
}

async function engine(): Promise<ContainerRuntimeClient | undefined> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  try {
    return await getContainerRuntimeClient()
  } catch (error) {
    if (process.env['FW_REQUIRE_DOCKER'] === '1') {
      throw new Error('the container suite must run (FW_REQUIRE_DOCKER=1), and no Docker engine answers', { cause: error })
    }
    return undefined
  }
}

/** The images stay: the next run starts from their layers. */
async function build(part: keyof Images): Promise<void> {
  const { GenericContainer } = await import('testcontainers')
  const root = fileURLToPath(new URL('../../../', import.meta.url))
  try {
    await GenericContainer.fromDockerfile(root, DOCKERFILES[part])
      .withBuildArgs(npmSettings())
      .build(IMAGES[part], { deleteOnExit: false })
  } catch (error) {
    throw new Error(`${DOCKERFILES[part]} can't be built; docker build -f ${DOCKERFILES[part]} . shows why`, { cause: error })
  }
}

/** What npm needs inside of a build: this machine's settings, and the certificates that it trusts beside those of Node. */
function npmSettings(): Record<string, string> {
  const settings = { NPM_CONFIG_CA: process.env['NPM_CONFIG_CA'] ?? extraCertificates(), NPM_CONFIG_REGISTRY: process.env['NPM_CONFIG_REGISTRY'] ?? '' }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== ''))
}

function extraCertificates(): string {
  const file = process.env['NODE_EXTRA_CA_CERTS'] ?? ''
  if (file === '') return ''
  const known = new Set(rootCertificates.map(fingerprint))
  const found = readFileSync(file, 'utf8').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return found.filter((certificate) => !known.has(fingerprint(certificate))).join('\n')
}

const fingerprint = (certificate: string): string => new X509Certificate(certificate).fingerprint256

async function removeAbandoned(client: ContainerRuntimeClient): Promise<void> {
  const { dockerode } = client.container
  const found = await dockerode.listContainers({ all: true, filters: { label: [LABEL] } })
  for (const { Id, Created } of found) {
    if (Created * 1000 < Date.now() - ABANDONED_AFTER_MS) await dockerode.getContainer(Id).remove({ force: true, v: true }).catch(() => undefined)
  }
}
