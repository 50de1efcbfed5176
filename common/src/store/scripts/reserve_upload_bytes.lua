-- Reserves bytes for an uploaded image, and releases those of expired images.
--
-- KEYS  digests by expiry time, sizes by digest and their `total`
-- ARGV  digest, bytes, time to live in ms, limit of the total in bytes
-- Returns taken | full

local order, sizes = KEYS[1], KEYS[2]
local digest, bytes, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)

-- At most 1,000 at a time, so that the script does not block Redis for long.
for _, expired in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', now_ms, 'LIMIT', 0, 1000)) do
  redis.call('HINCRBY', sizes, 'total', -(redis.call('HGET', sizes, expired) or 0))
  redis.call('HDEL', sizes, expired)
  redis.call('ZREM', order, expired)
end
if redis.call('HEXISTS', sizes, digest) == 0 then
  if (tonumber(redis.call('HGET', sizes, 'total') or 0)) + bytes > limit then return 'full' end
  redis.call('HSET', sizes, digest, bytes)
  redis.call('HINCRBY', sizes, 'total', bytes)
end
redis.call('ZADD', order, now_ms + ARGV[3], digest)
return 'taken'
