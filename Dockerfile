# The gateway and its operator's tool, each one bundled file, on Node's slim image: no package manager state, no shell needed, no root.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json build.ts ./
COPY src ./src
COPY adapters ./adapters
RUN npm run build

FROM ${NODE_IMAGE}
# In production neither the sandbox nor the embedded database ever starts; neither is in the image.
ENV NODE_ENV=production DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/dist ./dist
# The operator's tool: `kubectl exec deploy/aiserve-gpuproxy -- aiserve-admin accounts list`.
RUN mkdir /data && chown node:node /data \
  && chmod +x dist/adapters/node/admin.js && ln -s /app/dist/adapters/node/admin.js /usr/local/bin/aiserve-admin
# Numeric, so that Kubernetes can check runAsNonRoot. The root file system may be read-only: only /data is written.
USER 1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 8080}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/adapters/node/main.js"]
