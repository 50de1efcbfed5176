-- Opens a submission for its jobs, unless it was closed while it was prepared.
--
-- KEYS  submission
-- ARGV  fencing token, items, jobs, rejected items, manifest, why its last job does not end it (output|listing|'')
-- Returns opened | not-preparing | fenced
--
-- The field `output` keeps workers, also those of earlier versions, from ending the submission with its last job.

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
if redis.call('HGET', KEYS[1], 'state') ~= 'preparing' then return 'not-preparing' end
redis.call('HSET', KEYS[1], 'state', 'running', 'items', ARGV[2], 'jobs', ARGV[3], 'failed', ARGV[4],
  'manifest', ARGV[5])
if ARGV[6] == 'output' then
  redis.call('HSET', KEYS[1], 'output', '1')
elseif ARGV[6] == 'listing' then
  redis.call('HSET', KEYS[1], 'output', 'listing')
end
return 'opened'
