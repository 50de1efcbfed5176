#!lua flags=allow-oom
-- Deletes uploaded images, also while Redis refuses other writes because its memory is full.
--
-- KEYS  digests by expiry time, sizes by digest and their `total`, then images
-- ARGV  the images' digests

local order, sizes = KEYS[1], KEYS[2]
for number, digest in ipairs(ARGV) do
  redis.call('UNLINK', KEYS[number + 2])
  redis.call('HINCRBY', sizes, 'total', -(redis.call('HGET', sizes, digest) or 0))
  redis.call('HDEL', sizes, digest)
  redis.call('ZREM', order, digest)
end
