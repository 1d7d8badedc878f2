/** nginx before the pods, as the ingress of the manifests is set: it tries nothing twice. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../tests/support/free-port.ts'
import { findTool } from '../../tests/support/tools.ts'
import { startServer } from '../processes.ts'

export interface Balancer {
  url: string
  /** Sends new requests to these only. Those that are under way end where they are. */
  pointTo(urls: readonly string[]): Promise<void>
  stop(): Promise<void>
}

export async function startBalancer(folder: string, urls: readonly string[]): Promise<Balancer> {
  const tool = await findTool('nginx')
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  await writeFile(file, configOf({ folder, port, urls }))
  const url = `http://127.0.0.1:${port}`
  const { pid, stop } = await startServer({
    name: 'nginx',
    command: [tool.path, '-p', folder, '-e', join(folder, 'error.log'), '-c', file],
    env: tool.env,
    ready: { url: `${url}/balancer` },
  })
  let generation = 1
  return {
    url,
    stop,
    async pointTo(next) {
      await writeFile(file, configOf({ folder, port, urls: next, generation: ++generation }))
      process.kill(pid, 'SIGHUP')
      // Its master reads the file when it comes to it: what counts is which workers take new connections.
      const headers = { connection: 'close' }
      for (;;) {
        const answer = await fetch(`${url}/balancer`, { headers })
        if ((await answer.text()) === String(generation)) return
        await sleep(20)
      }
    },
  }
}

interface Settings {
  folder: string
  port: number
  urls: readonly string[]
  generation?: number
}

function configOf({ folder, port, urls, generation = 1 }: Settings): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  )
  return `
    daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log warn;
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    events { worker_connections 4096; }
    http {
      access_log off; tcp_nodelay on; ${temporary.join(' ')}
      upstream pods {
        ${urls.map((url) => `server ${new URL(url).host} max_fails=0;`).join(' ')}
        keepalive 64;
      }
      server {
        listen 127.0.0.1:${port};
        location = /balancer { return 200 "${generation}"; }
        location / {
          proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection "";
          proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 3600s; proxy_send_timeout 3600s;
          proxy_next_upstream off;
        }
      }
    }`
}
