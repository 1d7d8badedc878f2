/**
 * Stops PostgreSQL when the gateway is gone, however it went. The watchdog holds the reading end of a pipe: a line says
 * that PostgreSQL ended in an orderly way, the end of the pipe without one that the gateway died.
 */
import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { environment } from './run.ts'

// It starts before PostgreSQL and finds it by its pid file, so there is no moment in which nobody watches. The socket
// folder is new at each start: a pid file that names it cannot be another server's, and it goes when the server does
// (the process itself may stay as a zombie where nobody reaps orphans). Waits are in tenths of a second.
const script = `
cluster=$1 sockets=$2
serving() { [ "$(sed -n 5p "$cluster/postmaster.pid" 2>/dev/null)" = "$sockets" ]; }
signal() { kill "-$1" "$(sed -n 1p "$cluster/postmaster.pid" 2>/dev/null)" 2>/dev/null; }
if ! read -r _; then
  waited=0
  while ! serving && [ "$waited" -lt 10 ]; do
    waited=$((waited + 1))
    sleep 0.1
  done
  waited=0
  serving && signal INT
  while serving && [ "$waited" -lt 150 ]; do
    [ "$waited" -eq 100 ] && signal QUIT
    waited=$((waited + 1))
    sleep 0.1
  done
fi
rm -rf "$sockets"
`

export interface Watchdog {
  /** PostgreSQL has ended: removes the socket folder and ends the watchdog. */
  dismiss(): void
}

export function startWatchdog(folder: string, socketDir: string): Watchdog {
  const child = spawn('/bin/sh', ['-c', script, 'gpuproxy-postgres-watchdog', folder, socketDir], {
    cwd: '/',
    env: environment,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  child.unref()
  ;(child.stdin as unknown as Socket).unref()
  return { dismiss: () => child.stdin.end('ended\n') }
}
