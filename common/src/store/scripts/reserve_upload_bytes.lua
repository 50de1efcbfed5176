-- Stores an uploaded image within the limit of all, of which expired images are no part any more.
--
-- KEYS  digests by expiry time, sizes by digest and their `total`, image
-- ARGV  digest, bytes of the image, time to live in ms, limit of the total in bytes
-- Returns stored | full

local order, sizes, image = KEYS[1], KEYS[2], KEYS[3]
local digest, bytes, limit = ARGV[1], #ARGV[2], tonumber(ARGV[4])
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
redis.call('SET', image, ARGV[2], 'PX', ARGV[3])
return 'stored'
