-- Takes room for an uploaded image among those that are kept, and gives back the room of those that are no more.
--
-- KEYS  order of digests by the time they are kept until, sizes of digests and their `total`
-- ARGV  digest, bytes, ms to keep it for, most bytes in all
-- Returns taken | full

local order, sizes = KEYS[1], KEYS[2]
local digest, bytes, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)

-- So many at a time that nobody waits for long.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', now_ms, 'LIMIT', 0, 1000)) do
  redis.call('HINCRBY', sizes, 'total', -(redis.call('HGET', sizes, gone) or 0))
  redis.call('HDEL', sizes, gone)
  redis.call('ZREM', order, gone)
end
if redis.call('HEXISTS', sizes, digest) == 0 then
  if (tonumber(redis.call('HGET', sizes, 'total') or 0)) + bytes > limit then return 'full' end
  redis.call('HSET', sizes, digest, bytes)
  redis.call('HINCRBY', sizes, 'total', bytes)
end
redis.call('ZADD', order, now_ms + ARGV[3], digest)
return 'taken'
