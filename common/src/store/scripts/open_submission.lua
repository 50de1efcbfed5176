-- Opens a prepared submission for its jobs, unless it was closed while it was prepared.
--
-- KEYS  submission
-- ARGV  fencing token, items, jobs, rejected items, manifest, whether it has an output (0|1)
-- Returns opened | not-preparing | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
if redis.call('HGET', KEYS[1], 'state') ~= 'preparing' then return 'not-preparing' end
redis.call('HSET', KEYS[1], 'state', 'running', 'items', ARGV[2], 'jobs', ARGV[3], 'failed', ARGV[4],
  'manifest', ARGV[5])
if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'output', '1') end
return 'opened'
