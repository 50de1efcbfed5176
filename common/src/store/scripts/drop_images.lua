#!lua flags=allow-oom
-- Releases the bytes of deleted images, also while Redis refuses other writes because its memory is full.
--
-- KEYS  digests by expiry time, sizes by digest and their `total`
-- ARGV  digests

local order, sizes = KEYS[1], KEYS[2]
for _, digest in ipairs(ARGV) do
  redis.call('HINCRBY', sizes, 'total', -(redis.call('HGET', sizes, digest) or 0))
  redis.call('HDEL', sizes, digest)
  redis.call('ZREM', order, digest)
end
