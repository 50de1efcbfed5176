-- Keeps something that a crawl job brought in, while the job is open.
--
-- KEYS  submission, what the job brought in, jobs
-- ARGV  job name, generation, field, value, counted (0|1)
-- Returns kept | finished | stale | orphaned | closed
--
-- What counts is counted once, however often it is kept. It is forgotten when the job is done; where that never
-- happens, as long after this as a submission is kept.

local submission, crawled, jobs = KEYS[1], KEYS[2], KEYS[3]

local job, why = open_job(submission, jobs, ARGV[1], tonumber(ARGV[2]))
if not job then return why end

local is_new = redis.call('HSET', crawled, ARGV[3], ARGV[4]) == 1
redis.call('PEXPIRE', crawled, redis.call('HGET', submission, 'retention_ms'))
if is_new and ARGV[5] == '1' then redis.call('HINCRBY', submission, 'thumbnails', 1) end
return 'kept'
