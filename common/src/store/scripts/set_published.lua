-- Records that the first jobs of a submission are published.
--
-- KEYS  submission
-- ARGV  fencing token, number of jobs
-- Returns put | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'jobs_published', ARGV[2]) end
return 'put'
