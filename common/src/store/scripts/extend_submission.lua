-- Adds the jobs that were listed since to an open submission whose items are still being listed.
--
-- KEYS  submission
-- ARGV  fencing token, items, jobs, manifest, notification channel, submission id
-- Returns extended | not-listing | fenced

local submission = KEYS[1]
if fenced(submission, ARGV[1]) then return 'fenced' end
local is_running = redis.call('HGET', submission, 'state') == 'running'
if not is_running or redis.call('HGET', submission, 'output') ~= 'listing' then return 'not-listing' end
redis.call('HSET', submission, 'items', ARGV[2], 'jobs', ARGV[3], 'manifest', ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'extended'
