-- Acquires or renews the leader lease.
--
-- KEYS  lease, last token
-- ARGV  instance id, time to live in ms
-- Returns the fencing token, which is new whenever the lease was free; 0 if another instance holds the lease.
--
-- A token is at least the current time in ms, so that tokens stay unique if Redis is restored from a backup.

local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(redis.call('GET', KEYS[2]) or '0')
end
if holder then return 0 end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now_ms)
redis.call('SET', KEYS[2], string.format('%.0f', token))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return token
