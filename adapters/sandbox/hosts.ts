/**
 * What rented machines run: for each published port a small HTTP server on loopback that serves a model. A machine that
 * does not run refuses connections.
 */
import type { Clock } from '../../src/ports.ts'
import { createHostVendor } from './host-vendor.ts'
import { echoUpgrades } from './host-websocket.ts'
import { type SandboxServer, startServer } from './server.ts'

export interface Hosts {
  open(spec: HostSpec): Host
  close(): Promise<void>
}

export interface HostSpec {
  /** Of the container, to be published. */
  ports: readonly number[]
  args: readonly string[]
  env: Readonly<Record<string, string>>
  /** Whether the machine runs now. */
  runs: () => boolean
}

export interface Host {
  /** Undefined: that port is not published, or not yet. */
  address(port: number): HostAddress | undefined
  server(port: number): SandboxServer | undefined
  close(): void
}

export interface HostAddress {
  host: string
  port: number
}

/** Ports past it are not published. */
const maxServers = 64

export function createHosts(options: { clock: Clock; random: () => number; wordIntervalMs: number }): Hosts {
  const { clock, random } = options
  const open = new Set<Host>()
  const closing = new Set<Promise<void>>()
  let servers = 0

  function listen(spec: HostSpec, port: number, up: Map<number, SandboxServer>, isClosed: () => boolean): void {
    const { runs } = spec
    const vendor = createHostVendor({ ...options, ...spec, port })
    void startServer({ vendor, clock, random, accepts: runs, upgrade: echoUpgrades }).then(
      (server) => (isClosed() ? end(server) : void up.set(port, server)),
      // No socket is to be had: the machine comes without this port, as where the bound is reached.
      () => void servers--,
    )
  }

  function end(server: SandboxServer): void {
    const closed = server.close().finally(() => {
      servers--
      closing.delete(closed)
    })
    closing.add(closed)
  }

  return {
    open(spec) {
      const up = new Map<number, SandboxServer>()
      let isClosed = false
      for (const port of new Set(spec.ports)) {
        if (servers >= maxServers) break
        servers++
        listen(spec, port, up, () => isClosed)
      }
      const host: Host = {
        address(port) {
          const server = up.get(port)
          return server && { host: '127.0.0.1', port: Number(new URL(server.baseUrl).port) }
        },
        server: (port) => up.get(port),
        close() {
          isClosed = true
          open.delete(host)
          for (const server of up.values()) end(server)
          up.clear()
        },
      }
      open.add(host)
      return host
    },
    async close() {
      for (const host of open) host.close()
      await Promise.all(closing)
    },
  }
}

/** Addresses for documentation (RFC 5737) and no sockets: for markets whose machines nobody connects to. */
export function createUnreachableHosts(): Hosts {
  let opened = 0
  return {
    open({ ports }) {
      const number = opened++
      const address = (port: number) => ({ host: `203.0.113.${(number % 254) + 1}`, port: 40_000 + (port % 20_000) })
      let isClosed = false
      return {
        address: (port) => (!isClosed && ports.includes(port) ? address(port) : undefined),
        server: () => undefined,
        close() {
          isClosed = true
        },
      }
    },
    async close() {},
  }
}
