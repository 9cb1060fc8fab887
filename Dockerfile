# Situ: `docker build -t situ .`, then `docker run --rm -v situ:/data situ demo`.
# Paths in RUN are relative to WORKDIR: tests/dockerfile.test.ts runs these steps without an engine.

FROM node:24.21.0-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build
RUN mkdir -p packed app data && npm pack ./dist --pack-destination packed && tar -xzf packed/*.tgz -C app --strip-components=1

# The versions of the lock file, without what only building and testing need.
FROM node:24.21.0-slim AS modules
WORKDIR /modules
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:24.21.0-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=modules /modules/node_modules ./node_modules
COPY --from=build /build/app ./
COPY --from=build --chown=node:node /build/data /data
USER node
WORKDIR /data
VOLUME /data
ENTRYPOINT ["node", "/app/streams/cli.js"]
CMD ["--help"]
