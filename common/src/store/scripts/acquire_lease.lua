-- Takes or renews the lease on leading.
--
-- KEYS  lease, last token
-- ARGV  instance id, time to live in ms
-- Returns the token for its holder, a new one at every change of hands; 0 when somebody else holds it.
--
-- A token is at least the time in ms, so that a store put back to an older state hands out no token twice.

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
