/** Preloaded into a peer: whatever it listens on or connects to is 127.0.0.1, and anything else fails. */
import net from 'node:net'

const loopback = '127.0.0.1'
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function listenOnLoopback(this: net.Server, ...args: unknown[]) {
  const [first] = args
  const port = typeof first === 'object' && first ? (first as net.ListenOptions).port : Number(first)
  const done = args.find((arg) => typeof arg === 'function') as (() => void) | undefined
  return listen.call(this, { port, host: loopback }, done)
} as typeof listen

const connect = net.Socket.prototype.connect
net.Socket.prototype.connect = function connectToLoopback(this: net.Socket, ...args: unknown[]) {
  // Node normalises the arguments of net.connect into one list: [options, callback].
  const [first] = args.flat()
  const host = typeof first === 'object' && first ? ((first as net.TcpNetConnectOpts).host ?? loopback) : args[1]
  if (host !== loopback) {
    this.destroy(new Error(`this peer may connect to ${loopback} only, not to ${host}`))
    return this
  }
  return Reflect.apply(connect, this, args)
} as typeof connect
