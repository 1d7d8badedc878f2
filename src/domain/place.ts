/** Where an address is: whoever has one IPv6 address has a /64 of them, so all of it is one place. */

/** An IPv4 address, or the first half of an IPv6 address. Undefined: neither. */
export function placeOf(text: string): string | undefined {
  const bare = text
    .trim()
    .replace(/^\[(.*)\](?::\d+)?$/, '$1')
    .replace(/^([\d.]+):\d+$/, '$1')
    .replace(/%.*$/, '')
    .replace(/^::ffff:(?=[\d.]+$)/i, '')
  if (isIpv4(bare)) return bare
  return ipv6Prefix(bare)
}

const isIpv4 = (text: string) =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => Number(part) <= 255)

function ipv6Prefix(text: string): string | undefined {
  if (text.length > 45 || !/^[\da-f:.]+$/i.test(text)) return undefined
  const url = URL.parse(`http://[${text}]/`)
  if (!url) return undefined
  const [head = '', tail] = url.hostname.slice(1, -1).split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail ? tail.split(':') : []
  const groups = [...left, ...Array(tail === undefined ? 0 : 8 - left.length - right.length).fill('0'), ...right]
  return `${groups.slice(0, 4).join(':')}::/64`
}
