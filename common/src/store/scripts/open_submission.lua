-- Opens a prepared submission for its jobs, unless it was closed while it was prepared.
--
-- KEYS  submission
-- ARGV  items, jobs, rejected items, manifest
-- Returns 1 when it is open now.

if redis.call('HGET', KEYS[1], 'state') ~= 'preparing' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'running', 'items', ARGV[1], 'jobs', ARGV[2], 'failed', ARGV[3],
  'manifest', ARGV[4])
return 1
