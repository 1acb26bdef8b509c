# An executor: migrates the database, then runs the workflows in /app/workflows. Build it from the root of the repository:
#   docker build -f docker/executor.Dockerfile -t fw-executor .

# Both Dockerfiles begin with the same lines, so that they share these layers.
FROM debian:trixie-slim AS npm
RUN export DEBIAN_FRONTEND=noninteractive \
  && apt-get update \
  && apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io ca-certificates nodejs npm \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY package.json package-lock.json .npmrc ./

FROM npm AS build
# For networks that need them (both empty by default): npm's settings ca, certificates to trust, and registry.
ARG NPM_CONFIG_CA
ARG NPM_CONFIG_REGISTRY
# First what runs in production; then, beside it, what compiles.
RUN npm ci --omit=dev --omit=optional --omit=peer --ignore-scripts --loglevel=error && mv node_modules production
RUN npm ci --omit=optional --ignore-scripts --loglevel=error
COPY . .
RUN npm run build
# /app is laid out like the folder of somebody who installed the package: workflows find it, and its zod, beside them.
RUN mkdir -p /app/node_modules/durable-execution-worker \
  && tar -xzf "$(npm pack --loglevel=error --ignore-scripts)" --strip-components=1 -C /app/node_modules/durable-execution-worker \
  && cp -R production/. /app/node_modules/ \
  && cp -R docker/workflows /app/workflows \
  && echo '{"private": true, "type": "module"}' > /app/package.json \
  && find /app -type d -empty -delete \
  && chmod -R a+rX,go-w /app \
  && chmod +x /app/node_modules/durable-execution-worker/executor/dist/cli/main.js

FROM debian:trixie-slim
RUN export DEBIAN_FRONTEND=noninteractive \
  && apt-get update \
  && apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io nodejs \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --user-group --home-dir /app --shell /usr/sbin/nologin fw \
  && ln -s /app/node_modules/durable-execution-worker/executor/dist/cli/main.js /usr/local/bin/fw
COPY --from=build /app /app
ENV NODE_ENV=production
USER fw
WORKDIR /app
# The executor renews the file while the database hears from it; a probe that starts no Node looks how old the file is.
ENV FW_HEALTH_FILE=/tmp/fw-health
HEALTHCHECK --interval=10s --timeout=10s --retries=3 --start-period=60s \
  CMD test -n "$(find "$FW_HEALTH_FILE" -newermt '-30 seconds')"
ENTRYPOINT ["fw"]
CMD ["run", "workflows/index.js", "--migrate"]
