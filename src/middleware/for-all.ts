/** Answers that are the same for every caller: what the cache at the edge is told of them (RFC 9213). */

/** Of whoever asked first, and of nobody else. */
const callersOwn = [
  'x-request-id',
  'ratelimit',
  'ratelimit-policy',
  ...['requests', 'tokens'].flatMap((unit) =>
    ['limit', 'remaining', 'reset'].map((word) => `x-ratelimit-${word}-${unit}`),
  ),
]
/** How long an older answer will do while a new one is fetched, and while no region can be reached. */
const staleSeconds = { whileRevalidating: 60, ifError: 600 }

/** Headers for it. `tag`: by which it can be purged. */
export const forAll = (tag: string, maxAgeSeconds: number) => ({
  'cdn-cache-control': [
    'public',
    `max-age=${maxAgeSeconds}`,
    `stale-while-revalidate=${staleSeconds.whileRevalidating}`,
    `stale-if-error=${staleSeconds.ifError}`,
    `private="${callersOwn.join(', ')}"`,
  ].join(', '),
  'cache-tag': tag,
})
